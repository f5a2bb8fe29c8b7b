package top

import (
	"fmt"
	"slices"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// nothing says why a view is empty, and what would be there.
func (m model) nothing() string {
	if unfiltered := m.unfiltered(); m.filter != "" && len(unfiltered.table().rows) > 0 {
		return fmt.Sprintf("nothing here has %q in it: esc shows everything", textfmt.Clip(m.filter))
	}
	if m.view == viewEvents {
		return "no event yet: what changes is listed here, newest first"
	}
	if m.seen.status.At.IsZero() {
		return "nothing is known: the agent has not answered yet"
	}
	return map[viewKind]string{
		viewInstances: "no HAProxy is configured: what each of them runs, and how far behind it is, would be here",
		viewServers:   m.noServers(),
		viewSources:   "no backend is configured: its sources, and what the guard holds, would be here",
		viewOverrides: "nobody has asked for anything: what operators drain, stop, weigh, add and pause is listed here",
	}[m.view]
}

// noServers says why no server is shown.
func (m model) noServers() string {
	asked := m.seen.status.Instances
	if m.instance > 0 {
		asked = asked[m.instance-1 : m.instance]
	}
	answers := slices.ContainsFunc(asked, func(in api.InstanceStatus) bool { return in.Up })
	switch {
	case !answers && m.instance > 0:
		return textfmt.Clip(asked[0].Name) + " does not answer: its servers and their counters would be here (1 says why)"
	case !answers:
		return "no HAProxy answers: servers and their counters would be here (1 says why)"
	case len(m.everyServer().rows) > 0:
		return "every slot is free: a shows them"
	}
	for i, err := range m.seen.unsaid {
		if err != nil && (m.instance == 0 || m.instance == i+1) {
			return textfmt.OneLine("no counters: " + err.Error())
		}
	}
	return "HAProxy has shown no counters yet"
}

// unfiltered is m without its filter.
func (m model) unfiltered() model {
	m.filter, m.cursor = "", 0
	return m
}

// everyServer lists servers, those in free slots too.
func (m model) everyServer() table {
	m.all = true
	return m.serverTable()
}
