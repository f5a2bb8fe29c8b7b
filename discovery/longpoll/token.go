package longpoll

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"
)

const recheck = 5 * time.Second

// A TokenFile keeps the ACL token of a file that is replaced from time to time.
// What is empty, unreadable or not a token never replaces a good one. It is safe
// for concurrent use.
type TokenFile struct {
	path string

	mu      sync.Mutex // guards following
	token   string
	info    os.FileInfo // of the file that token was read from
	checked time.Time
}

// NewTokenFile reads the token in path. It fails if there is none: a query
// without a token can look like a service without instances.
func NewTokenFile(path string) (*TokenFile, error) {
	f := &TokenFile{path: path, checked: time.Now()}
	if err := f.read(); err != nil {
		return nil, fmt.Errorf("token_file: %w", err)
	}
	return f, nil
}

// Token returns the last good token. At most every 5 seconds it looks whether
// the file has changed. It is meant for [Options.Token].
func (f *TokenFile) Token() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.checked) >= recheck {
		f.checked = now
		if info, err := os.Stat(f.path); err == nil && changed(f.info, info) {
			_ = f.read() // the good one stays; Consul says when it no longer does
		}
	}
	return f.token
}

// Reread reads the file now. It is meant for [Options.Denied].
func (f *TokenFile) Reread() {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = f.read() // as in Token
}

func changed(old, now os.FileInfo) bool {
	return old.Size() != now.Size() || !old.ModTime().Equal(now.ModTime()) || !os.SameFile(old, now)
}

// read needs f.mu held, or f to be unknown to others. Its errors do not quote
// the file.
func (f *TokenFile) read() error {
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	// Opening a pipe would block until somebody writes to it.
	if !info.Mode().IsRegular() || info.Size() > 4096 {
		return fmt.Errorf("%s does not hold a token", f.path)
	}
	raw, err := os.ReadFile(f.path)
	if err != nil {
		return err
	}
	token := strings.TrimSpace(string(raw))
	if token == "" {
		return fmt.Errorf("%s is empty", f.path)
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsGraphic(r) || r == ' ' }) {
		return fmt.Errorf("%s does not hold a token", f.path)
	}
	f.token, f.info = token, info
	return nil
}
