// Package file is a [discovery.Source] that reads services from files in the
// format of Prometheus' file_sd, in YAML or JSON:
//
//   - targets: ["10.0.0.1:80", "[2001:db8::1]:80"]
//     labels: {service: web, weight: "10", name: web-1}
//
// A group belongs to the service that its label service names, and without it to
// the one that the file is named after: web.yaml holds web. The label weight is
// 0..65535, where 0 drains; name is shown to people. Other labels mean nothing
// here. A list without groups, [], says that there is nothing; a file without
// anything in it says nothing.
//
// What is written into a file takes effect at once if it only adds. What takes
// away, and what cannot be read, is looked at again a quarter of a second later,
// for it may be half of what somebody is writing. A file that cannot be read says
// nothing, and nothing of the others; so does one that has vanished, for 2 seconds,
// and then it is no part of the source any more. Those who write a file slowly should
// write another one and rename it.
package file

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
)

// Options say where the files are.
type Options struct {
	// Path is absolute and ends in .yaml, .yml or .json. Its last part may be a
	// pattern of [filepath.Match], as in /etc/slotsync/endpoints/*.yaml; hidden
	// files match only where it begins with a dot.
	Path string
}

// A Query says which endpoints of the files are wanted.
type Query struct {
	// Service names the service; empty: everything that the files hold.
	Service string
}

// Files are the files of one path. They are safe for use by many sources at a
// time, which read and watch them together. Files hold no resources while
// nothing waits.
type Files struct {
	dir, pattern string
	literal      bool // the path is the name of one file
	newWatcher   func(dir string) (*watcher, error)

	watchLock chan struct{} // held by the caller that watches for all
	readLock  chan struct{} // held by the caller that reads
	memory    memory        // guarded by readLock

	mu       sync.Mutex // guards following, never held while reading
	latest   snapshot
	changed  chan struct{} // closed and replaced when latest has another version
	watchErr error         // why changes are not noticed at once; nil: they are
}

// New returns the files of o.Path, or what is wrong with it. It reads nothing
// yet.
func New(o Options) (*Files, error) {
	dir, pattern := filepath.Split(o.Path)
	switch {
	case !filepath.IsAbs(o.Path):
		return nil, fmt.Errorf("path %q is not absolute", o.Path)
	case !hasKnownFormat(pattern):
		return nil, fmt.Errorf("path %q does not end in .yaml, .yml or .json", o.Path)
	case isPattern(dir):
		return nil, fmt.Errorf("path %q: only its last part may be a pattern", o.Path)
	}
	if _, err := filepath.Match(pattern, ""); err != nil {
		return nil, fmt.Errorf("path %q: %w", o.Path, err)
	}
	return &Files{
		dir: filepath.Clean(dir), pattern: pattern, literal: !isPattern(pattern), newWatcher: newWatcher,
		watchLock: make(chan struct{}, 1), readLock: make(chan struct{}, 1), changed: make(chan struct{}), memory: memory{},
	}, nil
}

func isPattern(path string) bool { return strings.ContainsAny(path, `*?[\`) }

// hasKnownFormat reports whether the name ends in a format that can be read.
func hasKnownFormat(name string) bool {
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json":
		return len(name) > len(filepath.Ext(name))
	}
	return false
}

// Source returns a source for q. Each source may be watched once at a time.
func (f *Files) Source(q Query) (*Source, error) {
	if len(q.Service) > maxLabel {
		return nil, fmt.Errorf("the service name is longer than %d bytes", maxLabel)
	}
	return &Source{files: f, query: q}, nil
}

func (f *Files) path() string { return filepath.Join(f.dir, f.pattern) }
