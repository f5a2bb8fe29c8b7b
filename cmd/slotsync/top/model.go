package top

import (
	"context"
	"strings"
	"time"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/slots"
)

// maxEvents is how many events are kept to be looked at.
const maxEvents = 500

// An agentAPI is what top asks.
type agentAPI interface {
	look(ctx context.Context) (snapshot, error)
	do(ctx context.Context, act action) error
}

// A snapshot is what was seen at one moment; stats are in the order of the instances,
// each empty if the instance does not say them; unsaid is why.
type snapshot struct {
	status api.Status
	stats  []slots.Dump
	unsaid []error
}

// An action is a change that somebody asks for.
type action struct {
	what            string // ready, drain, maint, weight, pause, resume, accept
	backend, server string // "" for all; an address alone on all backends
	weight, id      string
}

// String says what it does.
func (t action) String() string {
	words := []string{t.what, output.BackendName(t.backend)}
	switch {
	case t.server != "" && t.backend == "":
		words[1] = textfmt.Clip(t.server) + " on all backends"
	case t.server != "":
		words[1] = textfmt.Clip(t.backend) + "/" + textfmt.Clip(t.server)
	}
	for _, more := range []string{t.weight, t.id} {
		if more != "" {
			words = append(words, textfmt.Clip(more))
		}
	}
	return strings.Join(words, " ")
}

// What comes to the model besides keys and sizes.
type (
	seenMsg struct {
		look snapshot
		err  error
	}
	doneMsg struct {
		act action
		err error
	}
	eventMsg api.Event
	tickMsg  struct{}
)

// A mode is what keys mean.
type mode int

const (
	browses  mode = iota
	filters       // a filter is typed
	weighs        // a weight is typed
	confirms      // y or n
	helps
)

// A model is the state of top. Update and View are pure; what is to be done is in
// the commands that Update returns.
type model struct {
	ctx    context.Context // of the commands, which are given none
	agent  agentAPI
	colour bool

	seen   snapshot
	err    error // why the agent could not be asked last
	events []api.Event

	mode     mode
	view     viewKind
	instance int // 0 for all, else its place from 1
	sorted   int // 0 for as it comes, else the column from 1
	all      bool
	cursor   int
	filter   string
	input    textinput.Model
	act      action // waits for an answer
	note     string

	width, height int
}

func newModel(ctx context.Context, a agentAPI, colour bool) model {
	return model{ctx: ctx, agent: a, colour: colour, view: viewServers, width: 80, height: 24}
}

// Init implements [tea.Model].
func (m model) Init() tea.Cmd { return m.look() }

func (m model) look() tea.Cmd {
	return func() tea.Msg {
		seen, err := m.agent.look(m.ctx)
		return seenMsg{seen, err}
	}
}

func (m model) do(act action) tea.Cmd {
	return func() tea.Msg { return doneMsg{act, m.agent.do(m.ctx, act)} }
}

// Update implements [tea.Model].
func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tickMsg:
		return m, m.look()
	case seenMsg:
		return m.update(msg), tea.Tick(pace, func(time.Time) tea.Msg { return tickMsg{} })
	case doneMsg:
		m.note = msg.act.String() + ": done"
		if msg.err != nil {
			m.note = textfmt.OneLine(msg.err.Error())
		}
	case eventMsg:
		m.events = append([]api.Event{api.Event(msg)}, m.events...)
		m.events = m.events[:min(len(m.events), maxEvents)]
	case tea.KeyPressMsg:
		return m.pressed(msg)
	case tea.PasteMsg:
		if m.mode == filters || m.mode == weighs {
			m = m.edited(msg)
		}
	}
	return m, nil
}

// update takes a look over, or keeps the last one when there is none.
func (m model) update(s seenMsg) model {
	if m.err = s.err; s.err != nil {
		return m
	}
	m.seen = s.look
	if m.instance > len(m.seen.status.Instances) {
		m.instance = 0
	}
	m.cursor = max(0, min(m.cursor, len(m.table().rows)-1))
	return m
}
