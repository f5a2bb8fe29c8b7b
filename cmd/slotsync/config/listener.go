package config

import (
	"errors"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/agent/web/auth"
	"github.com/slotsync/slotsync/discovery"
)

// LoadListener returns where the configuration at path says that the agent listens; the
// defaults, if path is "". An agent that refuses a configuration goes on with the one
// before, and has to be found: what is wrong elsewhere does not matter, and where the
// whole cannot be read the defaults stand for it, with doubts that say so. If the agent is
// known already, only a file that is not there is an error.
func LoadListener(path string, env Environment, known bool) (h HTTP, doubts []string, err error) {
	var data []byte
	if path != "" {
		data, err = readFile(path)
		if errors.Is(err, errNoConfig) {
			return h, nil, unreadable(path, err)
		}
		if err != nil {
			doubts = append(doubts, unreadable(path, err).Error())
		}
	}
	doc, faults := parseYAML(data)
	whole := &Error{file: path, faults: slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return !ofWhole(f) })}
	doubts = append(doubts, whole.Lines()...)
	if doc.values == nil {
		doc.values = map[string]any{}
	}
	// The files that its listener uses are not opened: they are the agent's, and few may
	// read them.
	root, more := merge(doc, env)
	c := newChecker(doc, env)
	c.complete("http", &root.HTTP, "")
	h = root.HTTP
	if known {
		return h, nil, nil
	}
	faults = slices.DeleteFunc(slices.Concat(faults, more, c.faults), func(f fault) bool { return !ofAddress(f.path) })
	if len(faults) > 0 {
		faults = append(faults, fault{message: "while this is wrong it is not sure where the agent listens: name the agent with --agent"})
	}
	return h, doubts, newError(path, faults)
}

// ofWhole reports whether a fault leaves open what else the configuration says: it is
// about all of it, or about a key that may have been meant to be http.
func ofWhole(f fault) bool {
	return f.path == "" || !strings.ContainsAny(f.path, ".[") && discovery.Nearest(f.path, []string{"http"}) != "" && f.path != "http"
}

// ofAddress reports whether a fault at path may be why the agent is not found: it is in
// what says where the agent listens, or in a key of http that may have been meant to.
func ofAddress(path string) bool {
	key, ok := strings.CutPrefix(path, "http.")
	if !ok {
		return path == "http"
	}
	_, known := fieldOf(reflect.TypeFor[HTTP](), key)
	return key == "listen" || key == "socket" || !known && !strings.HasPrefix(key, "hosts")
}

// AgentURL returns the address for clients: the unix socket if it is there, else the listener.
func (h HTTP) AgentURL() string {
	if h.Socket != "" {
		if _, err := os.Stat(h.Socket); err == nil || h.Listen == "" {
			return "unix://" + h.Socket
		}
	}
	host, port, err := net.SplitHostPort(h.Listen)
	if err != nil {
		return ""
	}
	// What listens everywhere is asked here.
	switch ip := net.ParseIP(host); {
	case host == "" || ip.Equal(net.IPv4zero):
		host = "127.0.0.1"
	case ip.Equal(net.IPv6unspecified):
		host = "::1"
	}
	scheme := "http://"
	if asks, err := auth.ReadConfig(h.WebConfigFile); err == nil && asks.TLS {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, port)
}
