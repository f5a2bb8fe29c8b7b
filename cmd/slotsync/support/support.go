// Package support puts what helps to understand a fault into one file, without secrets.
package support

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	// itemTime bounds the making of one item, maxItem its size.
	itemTime = 30 * time.Second
	maxItem  = 8 << 20
	// minSecret is the shortest text that is looked for as a secret: shorter ones would take
	// words away from everything.
	minSecret = 4
)

// An Item is one file of a bundle.
type Item struct {
	Name string
	// Make writes it. What is written before an error stays, and the error is written behind
	// it.
	Make func(ctx context.Context, w io.Writer) error
}

// Write writes the items as a compressed archive (tar, gzip). Each has 30 s and 8 MiB. One
// that fails says so in the archive, and to failed; Write fails only if w does, or ctx is done.
func Write(ctx context.Context, w io.Writer, folder string, items []Item, m Mask, failed func(name string, err error)) error {
	packed := gzip.NewWriter(w)
	archive := tar.NewWriter(packed)
	for _, item := range items {
		text, err := item.text(ctx)
		if err := ctx.Err(); err != nil {
			return err
		}
		if err != nil {
			failed(item.Name, err)
			text = append(text, "\nerror: "+err.Error()+"\n"...)
		}
		text = m.Text(text)
		header := &tar.Header{Name: folder + "/" + item.Name, Mode: 0o600, Size: int64(len(text)), ModTime: time.Now(), Format: tar.FormatPAX}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(text); err != nil {
			return err
		}
	}
	return cmp.Or(archive.Close(), packed.Close())
}

var errTooLong = errors.New("the rest is left out: it is too long")

// text returns what an item says.
func (i Item) text(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, itemTime)
	defer cancel()
	b := bounded{room: maxItem}
	err := i.Make(ctx, &b)
	if b.cut {
		err = errTooLong
	}
	return b.text, err
}

// bounded keeps what there is room for.
type bounded struct {
	text []byte
	room int
	cut  bool
}

// Write never fails, so that who writes goes on.
func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.room-len(b.text))
	b.cut = b.cut || n < len(p)
	b.text = append(b.text, p[:n]...)
	return len(p), nil
}

// A Mask takes secrets out of texts.
type Mask struct{ secrets []string }

// NewMask returns one for these secrets: those of fewer than four bytes are not looked for.
func NewMask(secrets []string) Mask {
	var m Mask
	for _, s := range secrets {
		if s = strings.TrimSpace(s); len(s) < minSecret {
			continue
		}
		m.secrets = append(m.secrets, s)
		if quoted, err := json.Marshal(s); err == nil && string(quoted[1:len(quoted)-1]) != s { // as it stands in JSON
			m.secrets = append(m.secrets, string(quoted[1:len(quoted)-1]))
		}
	}
	// the longest first: one may hold another
	slices.SortFunc(m.secrets, func(a, b string) int { return len(b) - len(a) })
	return m
}

const masked = "[secret]"

// Secrets that nobody told of: passwords in addresses, and values behind words that say what
// they are, in any notation.
var (
	password    = regexp.MustCompile(`([^\s/:@"'=]+):([^\s/"'][^\s"']*)@`)
	option      = regexp.MustCompile(`(\s-u\s+[^\s:"']+):[^\s"',]+`)
	urlPassword = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@"']*):[^\s/@"']+@`)
	named       = regexp.MustCompile(`(?i)((?:token|password|passwd|secret|secret_?id|api_?key|authorization)["']?\s*[:=]\s*["']?)([^\s"',}&]{4,})`)
	bearer      = regexp.MustCompile(`(?i)(\b(?:bearer|basic)\s+)[a-zA-Z0-9+/=._~-]{8,}`)
)

// Text returns text without what are secrets, or look like one.
func (m Mask) Text(text []byte) []byte {
	for _, s := range m.secrets {
		text = bytes.ReplaceAll(text, []byte(s), []byte(masked))
	}
	text = urlPassword.ReplaceAll(text, []byte("$1:"+masked+"@"))
	text = password.ReplaceAll(text, []byte("$1:"+masked+"@"))
	text = option.ReplaceAll(text, []byte("$1:"+masked))
	text = bearer.ReplaceAll(text, []byte("${1}"+masked))
	return named.ReplaceAll(text, []byte("${1}"+masked))
}

// secretOptions are options of programs before what may be a secret, userOption one before a
// user, perhaps with the password.
var (
	userOption    = regexp.MustCompile(`(?i)(-u|user)=?$`)
	secretOptions = regexp.MustCompile(`(?i)^(-u|-?-[a-z-]*(user|password|passwd|pass|token|secret|auth|key|cookie|credentials?))(=|$)`)
)

// WordSecrets returns what may be secrets among the words of a command: what follows an option
// as -u or --password, in the same word or the next, and of it what follows a ":".
func WordSecrets(words []string) []string {
	var list []string
	for i, word := range words {
		option := secretOptions.FindString(word)
		value := strings.TrimPrefix(word, option)
		if option == "" || value == "" && i+1 == len(words) {
			continue
		}
		if value == "" {
			value = words[i+1]
		}
		if !userOption.MatchString(option) { // a user alone is none
			list = append(list, value)
		}
		if _, password, ok := strings.Cut(value, ":"); ok { // user:password
			list = append(list, password)
		}
	}
	return list
}

// secretNames are what the names of variables end in whose values are secrets.
var secretNames = regexp.MustCompile(`(?i)(TOKEN|PASSWORD|SECRET|AUTH|KEY|COOKIE|CREDENTIALS?)$`)

// EnvironmentSecrets returns the values of variables that are secrets by their names.
func EnvironmentSecrets(env map[string]string) []string {
	var list []string
	for name, value := range env {
		if !secretNames.MatchString(name) {
			continue
		}
		list = append(list, value)
		if _, password, ok := strings.Cut(value, ":"); ok { // user:password
			list = append(list, password)
		}
	}
	return list
}

// Environment writes the variables that slotsync and what it asks look at, sorted. Values of
// secrets are not shown.
func Environment(env map[string]string, w io.Writer) {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		known := slices.ContainsFunc([]string{"SLOTSYNC_", "CONSUL_", "NOMAD_", "GOMEMLIMIT", "GOGC", "GOMAXPROCS", "GODEBUG", "NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY", "INVOCATION_ID"},
			func(prefix string) bool { return strings.HasPrefix(name, prefix) })
		if !known {
			continue
		}
		value := env[name]
		if secretNames.MatchString(name) {
			value = masked
		}
		fmt.Fprintf(w, "%s=%q\n", name, value)
	}
}
