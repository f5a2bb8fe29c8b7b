package config

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"github.com/slotsync/slotsync/agent/web/auth"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// config makes a configuration of what was read. It is sound if c has no faults.
func (c *checker) config(root *rootKeys) *Config {
	h := root.HAProxy
	cfg := &Config{Timeout: h.Timeout, Poll: h.Poll, Resync: h.Resync, LockWait: h.LockWait, LockWaitAssumed: c.assumed["haproxy.lock_wait"], LogFormat: root.Log.Format, StateDir: root.StateDir, SlotMap: root.SlotMap}
	if cfg.StateDir == nothingKept {
		cfg.StateDir = ""
	}
	cfg.Instances = c.instances(h)
	cfg.Sources = c.sources(root.Sources)
	cfg.Backends = c.backends(root, cfg.Sources)
	cfg.Reloads = c.reloads(root, cfg.Backends)
	cfg.HTTP = root.HTTP
	cfg.HTTP.SocketIsDefault = !c.given("http.socket")
	c.webConfig(root.HTTP)
	c.addError("log.level", cfg.LogLevel.UnmarshalText([]byte(root.Log.Level)))
	return cfg
}

// nothingKept is the word for a state directory that is not there.
const nothingKept = "none"

func (c *checker) instances(h haproxyKeys) []Instance {
	var list []Instance
	for i := range h.Instances {
		r, path := &h.Instances[i], fmt.Sprintf("haproxy.instances[%d]", i)
		c.complete(path, r, "")
		in := Instance{Name: r.Name, Socket: r.Socket, StateFile: r.StateFile, Real: realSocket(r.Socket)}
		in.Key = keyOf(r.Name, in.Real, r.StateFile, h.Timeout)
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
		list = append(list, in)
	}
	return list
}

// realSocket returns the address of a Runtime API in one form; "" if it has none.
func realSocket(text string) string {
	if address, ok := strings.CutPrefix(text, "tcp://"); ok {
		host, port, _ := net.SplitHostPort(address)
		return "tcp://" + net.JoinHostPort(strings.ToLower(host), port)
	}
	if checkSocket(text) != nil {
		return ""
	}
	return RealPath(strings.TrimPrefix(text, "unix://"))
}

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

// webConfig checks the file that says how the listener is served, and that a listener
// which others can reach asks them who they are.
func (c *checker) webConfig(h HTTP) {
	path := h.WebConfigFile
	asks, err := auth.Config{}, error(nil)
	switch {
	case path == "":
	case h.Listen == "":
		c.add("http.web_config_file", "has no effect without http.listen")
	case !filepath.IsAbs(path): // reported as such
	default:
		if err = auth.CheckConfig(path); err == nil {
			asks, err = auth.ReadConfig(path)
		}
		if err != nil {
			c.add("http.web_config_file", "%s", strings.TrimPrefix(textfmt.OneLine(err.Error()), "http.web_config_file "))
		}
	}
	if h.Listen != "" && h.TokenFile+h.ReadTokenFile == "" && !IsLoopback(h.Listen) && err == nil && !asks.Knows() {
		c.add("http.listen", "%s can be reached from other machines: set http.token_file, have http.web_config_file ask for "+
			"client certificates or passwords, or listen on 127.0.0.1", textfmt.Clip(h.Listen))
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
	b, _ := json.Marshal(parts) // plain values have no error
	return string(b)
}
