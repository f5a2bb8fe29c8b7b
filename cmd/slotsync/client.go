package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/slotsync/slotsync/agent/web"
)

// client finds the running agent: the one that was named, else the unix socket,
// else the listener of the configuration.
func (a *app) client(ctx context.Context) (*web.Client, error) {
	h, err := a.agentHTTP()
	if err != nil {
		return nil, err
	}
	addr := cmp.Or(a.agentURL, a.env["SLOTSYNC_AGENT"])
	if addr == "" {
		addr = h.address()
	}
	if addr == "" {
		return nil, usageErrorf("the configuration has neither http.socket nor http.listen: name the agent with --agent")
	}
	by, err := a.access.of(addr, h.tokenFile, a.env)
	if err != nil {
		return nil, err
	}
	c, err := web.NewClient(addr, by)
	if err != nil {
		return nil, &exitError{code: exitUsage, err: err}
	}
	c.Slow = func(question string) {
		fmt.Fprintf(a.stderr, "slotsync: no answer yet to %s: still waiting\n", question)
	}
	return c, ctx.Err()
}

// agentHTTP is where the configuration says that the agent listens; the
// defaults, if there is no configuration. Faults elsewhere in it do not matter:
// an agent that refuses a configuration goes on with the one before, and has to
// be found.
func (a *app) agentHTTP() (httpConfig, error) {
	path, data := findConfig(a.configFile), []byte(nil)
	if path != "" && (a.configFile != "" || a.needsConfig()) {
		var err error
		if data, err = readConfig(path); err != nil {
			return httpConfig{}, configFailed(path, err)
		}
	}
	doc, unread := parseYAML(data)
	if doc.values == nil {
		if a.needsConfig() {
			unread = append(unread, notFound())
		}
		return httpConfig{}, newConfigError(path, unread)
	}
	raw, faults := merge(doc, a.env)
	c := newChecker(doc, a.env)
	h := c.http(raw.HTTP)
	if !a.needsConfig() {
		return h, nil
	}
	faults = slices.DeleteFunc(slices.Concat(faults, unread, c.faults), func(f fault) bool { return !ofHTTP(f.path) })
	if len(faults) > 0 {
		faults = append(faults, notFound())
	}
	return h, newConfigError(path, faults)
}

// notFound says what to do about a configuration that leaves open where the agent
// is.
func notFound() fault {
	return fault{message: "where the agent listens cannot be read from this: name it with --agent"}
}

// ofHTTP reports whether a fault at path may be why the agent is not found: it is
// in http, or in a key that may have been meant to be http.
func ofHTTP(path string) bool {
	return path == "" || path == "http" || strings.HasPrefix(path, "http.")
}

// needsConfig reports whether neither flags nor variables say where the agent
// is.
func (a *app) needsConfig() bool { return cmp.Or(a.agentURL, a.env["SLOTSYNC_AGENT"]) == "" }

// address is the unix socket if it is there, else the listener.
func (h httpConfig) address() string {
	if h.socket != "" {
		if _, err := os.Stat(h.socket); err == nil || h.listen == "" {
			return "unix://" + h.socket
		}
	}
	host, port, err := net.SplitHostPort(h.listen)
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
	if asks, err := web.ReadConfig(h.webConfigFile); err == nil && asks.TLS {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, port)
}

// nobodyThere reports whether err means that no agent runs where it was asked.
func nobodyThere(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
}
