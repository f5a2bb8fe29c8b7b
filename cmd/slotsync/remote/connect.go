// Package remote finds the running agent, and asks it what takes more than one request.
package remote

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/securedir"
)

// A Place is what a user says of where the agent is.
type Place struct {
	Agent      string // its URL; "" for that of SLOTSYNC_AGENT, else of the configuration
	ConfigFile string // "" for the one that is found
	Access     Access
	Env        config.Environment
}

// NeedsConfig reports whether the configuration alone says where the agent is.
func (p Place) NeedsConfig() bool { return cmp.Or(p.Agent, p.Env["SLOTSYNC_AGENT"]) == "" }

// Connect returns a client of the agent: the one that was named, else the unix socket, else
// the listener of the configuration. warn is told why it may be another one.
func (p Place) Connect(warn func(string)) (*client.Client, error) {
	h, doubts, err := p.listener()
	if err != nil {
		return nil, err
	}
	addr := cmp.Or(p.Agent, p.Env["SLOTSYNC_AGENT"], h.AgentURL())
	if addr == "" {
		return nil, config.Usagef("the configuration has neither http.socket nor http.listen: name the agent with --agent")
	}
	for _, line := range doubts {
		warn(fmt.Sprintf("%s; %s is asked all the same", line, addr))
	}
	if strings.HasPrefix(addr, "unix://") {
		h.TokenFile = "" // nobody needs it there, and few may read it
	}
	by, err := p.Access.of(addr, h.TokenFile, p.Env)
	if err != nil {
		return nil, err
	}
	if o := securedir.GivenTo(filepath.Dir(h.Socket)); o != nil && by.KnownTo != nil {
		readable := by.KnownTo
		// the agent's user, which systemd may have handed what it cannot read by itself
		by.KnownTo = func(uid int) bool { return uid == int(o.UID) || readable(uid) }
	}
	c, err := client.New(addr, by)
	if err != nil {
		return nil, &config.UsageError{Err: err}
	}
	return c, nil
}

// listener is where the configuration says that the agent listens, with doubts where it
// cannot be read as a whole.
func (p Place) listener() (h config.HTTP, doubts []string, err error) {
	path := ""
	if p.ConfigFile != "" || p.NeedsConfig() {
		if path, err = config.Find(p.ConfigFile); err != nil {
			return h, nil, err
		}
	}
	return config.LoadListener(path, p.Env, !p.NeedsConfig())
}

// IsAbsent reports whether err means that no agent runs where it was asked.
func IsAbsent(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
}
