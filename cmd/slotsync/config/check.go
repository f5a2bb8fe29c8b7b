package config

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/web/auth"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// config judges all of raw. What it returns is sound if c has no faults.
func (c *checker) config(raw rawConfig) *Config {
	cfg := &Config{
		Timeout:  c.duration("haproxy.timeout", raw.HAProxy.Timeout, agent.DefaultTimeout, 50*time.Millisecond, time.Minute),
		Poll:     c.duration("haproxy.poll", raw.HAProxy.Poll, agent.DefaultPoll, 20*time.Millisecond, time.Minute),
		Resync:   c.duration("haproxy.resync", raw.HAProxy.Resync, agent.DefaultResync, 100*time.Millisecond, time.Hour),
		LockWait: c.duration("haproxy.lock_wait", raw.HAProxy.LockWait, 0, 0, time.Hour),
		StateDir: c.stateDir(raw.StateDir),
	}
	cfg.Instances = c.instances(raw.HAProxy, cfg.Timeout)
	cfg.Sources = c.sources(raw.Sources)
	cfg.Backends = c.backends(raw, cfg.Sources)
	cfg.Reloads = c.reloads(raw, cfg.Backends)
	cfg.HTTP = c.http(raw.HTTP)
	cfg.LogLevel = c.level(raw.Log.Level)
	cfg.LogFormat = c.oneOf("log.format", raw.Log.Format, "text", "json")
	return cfg
}

// nothingKept is the word for a state directory that is not there.
const nothingKept = "none"

// stateDir returns the folder for state, "" where nothing is to be kept.
func (c *checker) stateDir(text string) string {
	switch {
	case text == nothingKept:
		return ""
	case !filepath.IsAbs(text):
		c.add("state_dir", "%q is neither an absolute path nor none", textfmt.Clip(text))
	}
	return text
}

func (c *checker) level(text string) slog.Level {
	words := []string{"info", "debug", "warn", "error"}
	levels := []slog.Level{slog.LevelInfo, slog.LevelDebug, slog.LevelWarn, slog.LevelError}
	return levels[slices.Index(words, c.oneOf("log.level", text, words...))]
}

func (c *checker) instances(raw rawHAProxy, timeout time.Duration) []Instance {
	if len(raw.Instances) == 0 {
		c.add("haproxy.instances", "there is no instance: name at least one HAProxy and its socket")
	}
	var list []Instance
	for i, r := range raw.Instances {
		path := fmt.Sprintf("haproxy.instances[%d]", i)
		c.name(path+".name", r.Name)
		in := Instance{Name: r.Name, Socket: r.Socket, StateFile: r.StateFile, Real: c.socket(path+".socket", r.Socket)}
		in.Key = keyOf(r.Name, in.Real, r.StateFile, timeout)
		for j, other := range list {
			if r.Name != "" && other.Name == r.Name {
				c.add(path+".name", "haproxy.instances[%d] has the name %q already", j, textfmt.Clip(r.Name))
			}
			if in.Real != "" && other.Real == in.Real {
				c.add(path+".socket", "instance %q has this socket already", textfmt.Clip(other.Name))
			}
			if r.StateFile != "" && filepath.Clean(other.StateFile) == filepath.Clean(r.StateFile) {
				c.add(path+".state_file", "instance %q writes this file already: each needs its own", textfmt.Clip(other.Name))
			}
		}
		c.stateFile(path+".state_file", r.StateFile)
		list = append(list, in)
	}
	return list
}

func (c *checker) stateFile(path, file string) {
	rest := strings.Replace(file, "{backend}", "", 1)
	switch {
	case file == "":
	case !filepath.IsAbs(file):
		c.add(path, "%q is not an absolute path", textfmt.Clip(file))
	case strings.ContainsAny(rest, "{}"):
		c.add(path, "%q: only {backend} is replaced, and once", textfmt.Clip(file))
	}
}

// socket checks the address of a Runtime API and returns it in one form.
func (c *checker) socket(path, text string) string {
	if address, ok := strings.CutPrefix(text, "tcp://"); ok {
		c.hostPort(path, address, 1)
		host, port, _ := net.SplitHostPort(address)
		return "tcp://" + net.JoinHostPort(strings.ToLower(host), port)
	}
	file := strings.TrimPrefix(text, "unix://")
	switch {
	case text == "":
		c.add(path, "is missing: a path, unix:///path or tcp://host:port")
		return ""
	case strings.Contains(file, "://") || !filepath.IsAbs(file):
		c.add(path, "%q is not an absolute path, unix:///path or tcp://host:port", textfmt.Clip(text))
		return ""
	case len(file) > maxSocketPath:
		c.add(path, "the path is %d bytes long, and the system takes %d: use a shorter one, or a link to it", len(file), maxSocketPath)
		return ""
	}
	return RealPath(file)
}

// maxSocketPath is what fits into sockaddr_un, in bytes.
const maxSocketPath = 107

// RealPath follows the links in path, as far as it exists.
func RealPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return filepath.Clean(path)
}

func (c *checker) http(raw rawHTTP) HTTP {
	h := HTTP{Listen: raw.Listen, Socket: raw.Socket, SocketIsDefault: !c.given("http.socket"),
		SocketGroup: raw.SocketGroup, Hosts: raw.Hosts, TokenFile: raw.TokenFile, ReadTokenFile: raw.ReadTokenFile, WebConfigFile: raw.WebConfigFile,
		Loopback: auth.Loopback(c.oneOf("http.loopback", raw.Loopback, auth.Loopbacks()...)),
		MaxFor:   c.duration("http.max_for", raw.MaxFor, auth.DefaultMaxFor, time.Minute, 10*auth.DefaultMaxFor)}
	c.listener(raw)
	c.webConfig(raw)
	c.apiSocket(raw)
	mode, err := strconv.ParseUint(raw.SocketMode, 8, 32)
	if err != nil || mode > 0o777 {
		c.add("http.socket_mode", "%q is not a file mode, as in \"0660\"", textfmt.Clip(raw.SocketMode))
	}
	h.SocketMode = fs.FileMode(mode) & fs.ModePerm
	for i, host := range raw.Hosts {
		c.name(fmt.Sprintf("http.hosts[%d]", i), host)
	}
	return h
}

func (c *checker) listener(raw rawHTTP) {
	if raw.Listen != "" {
		c.hostPort("http.listen", raw.Listen, 0)
	}
}

func (c *checker) apiSocket(raw rawHTTP) {
	if raw.Socket != "" && (!filepath.IsAbs(raw.Socket) || len(raw.Socket) > maxSocketPath) {
		c.add("http.socket", "%q is not an absolute path of at most %d bytes", textfmt.Clip(raw.Socket), maxSocketPath)
	}
}

// webConfig checks the file that says how the listener is served, and that a listener
// which others can reach asks them who they are.
func (c *checker) webConfig(raw rawHTTP) {
	path := raw.WebConfigFile
	asks, err := auth.Config{}, error(nil)
	switch {
	case path == "":
	case raw.Listen == "":
		c.add("http.web_config_file", "has no effect without http.listen")
	case !filepath.IsAbs(path):
		c.add("http.web_config_file", "%q is not an absolute path", textfmt.Clip(path))
	default:
		if err = auth.CheckConfig(path); err == nil {
			asks, err = auth.ReadConfig(path)
		}
		if err != nil {
			c.add("http.web_config_file", "%s", strings.TrimPrefix(textfmt.OneLine(err.Error()), "http.web_config_file "))
		}
	}
	if raw.Listen != "" && raw.TokenFile+raw.ReadTokenFile == "" && !IsLoopback(raw.Listen) && err == nil && !asks.Knows() {
		c.add("http.listen", "%s can be reached from other machines: set http.token_file, have http.web_config_file ask for "+
			"client certificates or passwords, or listen on 127.0.0.1", textfmt.Clip(raw.Listen))
	}
}

// IsLoopback reports whether nobody but this machine can reach the listener.
func IsLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return true // reported elsewhere
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// keyOf is a text that changes exactly when one of the parts does.
func keyOf(parts ...any) string {
	b, err := json.Marshal(parts)
	if err != nil {
		return fmt.Sprint(parts...) // the parts are plain values: not reached
	}
	return string(b)
}
