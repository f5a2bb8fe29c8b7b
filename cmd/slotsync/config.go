package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/sources"
	"github.com/slotsync/slotsync/agent/web/auth"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/securedir"
)

// A config is a configuration without faults, in types.
type config struct {
	file                  string // where it was read; "" for the command line alone
	timeout, poll, resync time.Duration
	lockWait              time.Duration // for a lock that another holds, at the start
	instances             []instanceConfig
	sources               map[string]sourceConfig
	backends              []backendConfig
	reloads               []reloadConfig
	http                  httpConfig
	logLevel              slog.Level
	logFormat             string // "text", "json"
	stateDir              string
	shared                securedir.Policy // which folders are good enough
	// overruled are variables that would be used if the file said nothing.
	overruled []overruled
	// warnings are of keys that have no effect.
	warnings *configError
}

type instanceConfig struct {
	name, socket, stateFile string
	// real is the same for all ways to write one socket.
	real string
	key  string
}

// instanceNames are in the order of the configuration.
func (cfg *config) instanceNames() []string {
	names := make([]string, len(cfg.instances))
	for i, in := range cfg.instances {
		names[i] = in.name
	}
	return names
}

type backendConfig struct {
	name, proxy, prefix string
	instances           []string
	feeds               []feedConfig // at least one
	failover            sources.Failover
	policy              discovery.Policy
	onAllUnhealthy      string // "auto", "keep", "drop"
	guard               guard.Rules
	drainFirst          bool
	drainShutdown       bool
	drain               time.Duration
	repairExternal      bool
	dynamic             bool
	dynamicOptions      string
	maxSlots            int
}

type httpConfig struct {
	listen, socket string
	// socketIsDefault: nobody asked for the socket by name.
	socketIsDefault bool
	socketMode      fs.FileMode
	socketGroup     string
	hosts           []string
	tokenFile       string
	readTokenFile   string // of a token with which one may only read
	loopback        auth.Loopback
	maxFor          time.Duration
	webConfigFile   string // of Prometheus' exporter-toolkit, for the TCP listener
}

// configPaths are where the configuration is looked for.
func configPaths() []string { return []string{"/etc/slotsync/slotsync.yaml", "slotsync.yaml"} }

// findConfig returns the path of the configuration: the one that was named,
// or the first that exists, or "".
func findConfig(named string) string {
	if named != "" {
		return named
	}
	for _, path := range configPaths() {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// loadConfig reads and checks the file at path. Its error is a [configError]
// that holds all faults, or says why the file cannot be read.
func loadConfig(path string, env environment) (*config, error) {
	cfg, _, err := loadSettings(path, env)
	return cfg, err
}

// loadSettings is loadConfig, and returns also what is in force, key by key.
func loadSettings(path string, env environment) (*config, settings, error) {
	data, err := readConfig(path)
	if err != nil {
		return nil, settings{}, configFailed(path, err)
	}
	doc, faults := parseYAML(data)
	return judge(path, doc, faults, env)
}

// configFailed says why the file at path cannot be read.
func configFailed(path string, err error) error {
	return &configError{file: path, faults: []fault{{message: err.Error()}}}
}

// newConfig makes a configuration of what was parsed.
func newConfig(file string, doc document, faults []fault, env environment) (*config, error) {
	cfg, _, err := judge(file, doc, faults, env)
	return cfg, err
}

// judge makes a configuration of what was parsed, or says what is wrong with it.
func judge(file string, doc document, faults []fault, env environment) (*config, settings, error) {
	if doc.values == nil {
		return nil, settings{}, newConfigError(file, faults)
	}
	raw, more := merge(doc, env)
	c := newChecker(doc, env)
	c.inheritDefaults(&raw)
	cfg := c.config(raw)
	cfg.file, cfg.overruled, cfg.shared = file, c.overruled, sharedFolders(env)
	faults = append(faults, more...)
	faults = append(faults, besides(c.faults, faults)...)
	if err := newConfigError(file, faults); err != nil {
		return nil, settings{}, err
	}
	c.effects(raw, cfg)
	cfg.warnings = sortedFaults(file, c.warnings)
	return cfg, settings{file, raw, c}, nil
}

// besides returns the faults that are about nothing that the others are about: what
// could not be read is not missing as well.
func besides(list, others []fault) []fault {
	return slices.DeleteFunc(list, func(f fault) bool {
		return slices.ContainsFunc(others, func(o fault) bool { return o.place == f.place && within(f.path, o.path) })
	})
}

// within reports whether path is outer, or a part of it.
func within(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (outer == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

var errNoConfig = errors.New("there is no such file")

func readConfig(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errNoConfig
		}
		return nil, errors.Unwrap(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.New("is a folder")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	return data, nil
}
