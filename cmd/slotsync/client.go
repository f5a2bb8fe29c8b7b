package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
)

// client finds the running agent: the one that was named, else the unix socket,
// else the listener of the configuration.
func (a *app) client(ctx context.Context) (*client.Client, error) {
	h, doubts, err := a.agentHTTP()
	if err != nil {
		return nil, err
	}
	addr := cmp.Or(a.agentURL, a.env["SLOTSYNC_AGENT"], h.AgentURL())
	if addr == "" {
		return nil, usageErrorf("the configuration has neither http.socket nor http.listen: name the agent with --agent")
	}
	for _, line := range doubts {
		fmt.Fprintf(a.stderr, "slotsync: warning: %s; %s is asked all the same\n", line, addr)
	}
	if strings.HasPrefix(addr, "unix://") {
		h.TokenFile = "" // nobody needs it there, and few may read it
	}
	by, err := a.access.of(addr, h.TokenFile, a.env)
	if err != nil {
		return nil, err
	}
	c, err := client.New(addr, by)
	if err != nil {
		return nil, &exitError{code: exitUsage, err: err}
	}
	c.Slow = func(question string) {
		fmt.Fprintf(a.stderr, "slotsync: no answer yet to %s: still waiting\n", question)
	}
	return c, ctx.Err()
}

// agentHTTP is where the configuration says that the agent listens, with doubts where it
// cannot be read as a whole.
func (a *app) agentHTTP() (h config.HTTP, doubts []string, err error) {
	path := ""
	if a.configFile != "" || a.needsConfig() {
		path = config.Find(a.configFile)
	}
	return config.LoadListener(path, a.env, !a.needsConfig())
}

// needsConfig reports whether neither flags nor variables say where the agent
// is.
func (a *app) needsConfig() bool { return cmp.Or(a.agentURL, a.env["SLOTSYNC_AGENT"]) == "" }

// nobodyThere reports whether err means that no agent runs where it was asked.
func nobodyThere(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
}
