// Package config reads the configuration: a file, the environment and flags become one
// [Config] in types, or an [Error] that has every fault with its place.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/sources"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/securedir"
	"github.com/slotsync/slotsync/slots"
)

// A Config is a configuration without faults, in types.
type Config struct {
	File                  string // where it was read; "" for the command line alone
	Timeout, Poll, Resync time.Duration
	LockWait              time.Duration // how long a lock of another agent is waited for at the start
	LockWaitAssumed       bool          // nobody has said so
	Instances             []Instance
	Sources               map[string]Source
	Backends              []Backend
	Reloads               []Reload
	HTTP                  HTTP
	LogLevel              slog.Level
	LogFormat             string // "text", "json"
	StateDir              string
	SlotMap               string           // a file; "": none
	FolderPolicy          securedir.Policy // which folders are good enough
	// PrivateFolder is the one of secrets that Nomad gives a task, which no other task
	// reaches whatever its modes are; "" elsewhere.
	PrivateFolder string
	// Overruled are variables that would be used if the file said nothing.
	Overruled []Overruled
	// Warnings are of keys that have no effect.
	Warnings *Error
}

// An Instance is one HAProxy.
type Instance struct {
	Name, Socket, StateFile string
	// Real is the same for all ways to write one socket.
	Real string
	// Key differs if anything of the instance does.
	Key string
}

// InstanceNames returns the names of the instances, in the order of the configuration.
func (cfg *Config) InstanceNames() []string {
	names := make([]string, len(cfg.Instances))
	for i, in := range cfg.Instances {
		names[i] = in.Name
	}
	return names
}

// A SecretFile holds a secret.
type SecretFile struct{ Key, Path string } // what names it in the configuration

// SecretFiles returns the files with secrets that the configuration names, in a fixed order.
func (cfg *Config) SecretFiles() []SecretFile {
	list := []SecretFile{
		{"http.token_file", cfg.HTTP.TokenFile}, {"http.read_token_file", cfg.HTTP.ReadTokenFile}, {"http.web_config_file", cfg.HTTP.WebConfigFile},
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Sources)) {
		list = append(list, SecretFile{"token_file of " + name, cfg.Sources[name].TokenFile})
	}
	return slices.DeleteFunc(list, func(f SecretFile) bool { return f.Path == "" })
}

// SameProcess says that two instances are reached, by two sockets, in one process.
func SameProcess(one, other string, p slots.Process) error {
	return fmt.Errorf("instances %s and %s are one HAProxy (pid %d on %s): configure one of the two sockets", one, other, p.Pid, p.Node)
}

// A Backend is what fills the slots of one backend of HAProxy.
type Backend struct {
	// Proxy is HAProxy's name of the backend, Prefix what the names of its slots begin with;
	// "" if that is to be found out.
	Name, Proxy, Prefix string
	Instances           []string
	Feeds               []Feed // at least one
	Failover            sources.Failover
	Policy              discovery.Policy
	OnAllUnhealthy      string // "auto", "keep", "drop"
	Guard               guard.Rules
	DrainFirst          bool
	DrainShutdown       bool
	Drain               time.Duration
	RepairExternal      bool
	Dynamic             bool
	DynamicOptions      string
	MaxSlots            int
}

// Load reads and checks the file at path. Its error is an [Error]
// that holds all faults, or says why the file cannot be read.
func Load(path string, env Environment) (*Config, error) {
	cfg, _, err := LoadSettings(path, env)
	return cfg, err
}

// LoadSettings is [Load], and returns also what is in force, key by key.
func LoadSettings(path string, env Environment) (*Config, Settings, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, Settings{}, unreadable(path, err)
	}
	doc, faults := parseYAML(data)
	return validate(path, doc, faults, env)
}

func unreadable(path string, err error) error {
	return &Error{file: path, faults: []fault{{message: err.Error()}}}
}

// validate makes a configuration of what was parsed, or says what is wrong with it.
func validate(file string, doc document, faults []fault, env Environment) (*Config, Settings, error) {
	if doc.values == nil {
		return nil, Settings{}, newError(file, faults)
	}
	root, more := merge(doc, env)
	c := newChecker(doc, env)
	c.complete("", root, "")
	c.inheritDefaults(root)
	cfg := c.config(root)
	cfg.File, cfg.Overruled, cfg.FolderPolicy = file, c.overruled, sharedFolders(env, readMounts())
	cfg.PrivateFolder = privateFolder(env)
	if os.Geteuid() == 0 { // who reads and writes for the agent
		cfg.FolderPolicy.Owner = cfg.Owner()
	}
	faults = append(faults, more...)
	faults = append(faults, dropSecondary(c.faults, faults)...)
	if err := newError(file, faults); err != nil {
		return nil, Settings{}, err
	}
	c.effects(root, cfg)
	cfg.Warnings = sortedFaults(file, c.warnings)
	return cfg, Settings{file, root, c}, nil
}

// dropSecondary returns the faults that are about nothing that the others are about: what
// could not be read is not missing as well.
func dropSecondary(list, others []fault) []fault {
	return slices.DeleteFunc(list, func(f fault) bool {
		return slices.ContainsFunc(others, func(o fault) bool { return o.place == f.place && within(f.path, o.path) })
	})
}

// within reports whether path is outer, or a part of it.
func within(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (outer == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

// maxWait is how long a configuration that is no file may take to arrive.
const maxWait = 5 * time.Second

var errNoConfig = errors.New("there is no such file")

func readFile(path string) ([]byte, error) { return readWithin(path, maxWait) }

// readWithin returns what is in a file, or comes out of a pipe within a time.
func readWithin(path string, limit time.Duration) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // to open a pipe would wait for who writes
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errNoConfig
		}
		return nil, errors.Unwrap(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		return nil, errors.New("is a folder")
	}
	// what has no deadline never waits
	if err := f.SetReadDeadline(time.Now().Add(limit)); err != nil && !errors.Is(err, os.ErrNoDeadline) {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fmt.Errorf("is no file: whoever writes it did not end within %s", limit)
	case err != nil:
		return nil, fmt.Errorf("cannot be read: %w", err)
	case len(data) == 0 && info != nil && info.Mode()&fs.ModeNamedPipe != 0:
		return nil, errors.New("is a pipe, and nobody writes to it")
	}
	return data, nil
}
