package main

import (
	"context"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// maxTopEvents is how many events are kept to be looked at.
const maxTopEvents = 500

// A topAgent is what top asks.
type topAgent interface {
	look(ctx context.Context) (topLook, error)
	do(ctx context.Context, act topAct) error
}

// A topLook is what was seen at one moment; stats are in the order of the instances,
// each empty if the instance does not say them.
type topLook struct {
	status agent.Status
	stats  []agent.Dump
}

// A topAct is a change that somebody asks for.
type topAct struct {
	what            string // ready, drain, maint, weight, pause, resume, accept
	backend, server string // "" for all; an address alone on all backends
	weight, id      string
}

// String says what it does.
func (t topAct) String() string {
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
	topSeen struct {
		look topLook
		err  error
	}
	topDone struct {
		act topAct
		err error
	}
	topEvent agent.Event
	topTick  struct{}
)

// A topMode is what keys mean.
type topMode int

const (
	topBrowses  topMode = iota
	topFilters          // a filter is typed
	topWeighs           // a weight is typed
	topConfirms         // y or n
	topHelps
)

// A topModel is the state of top. Update and View are pure; what is to be done is in
// the commands that Update returns.
type topModel struct {
	ctx    context.Context // of the commands, which are given none
	agent  topAgent
	colour bool

	seen   topLook
	err    error // why the agent could not be asked last
	events []agent.Event

	mode     topMode
	view     topView
	instance int // 0 for all, else its place from 1
	sorted   int // 0 for as it comes, else the column from 1
	all      bool
	cursor   int
	filter   string
	typed    string
	act      topAct // waits for an answer
	note     string

	width, height int
}

func newTopModel(ctx context.Context, a topAgent, colour bool) topModel {
	return topModel{ctx: ctx, agent: a, colour: colour, view: topServers, width: 80, height: 24}
}

// Init implements [tea.Model].
func (m topModel) Init() tea.Cmd { return m.look() }

func (m topModel) look() tea.Cmd {
	return func() tea.Msg {
		seen, err := m.agent.look(m.ctx)
		return topSeen{seen, err}
	}
}

func (m topModel) do(act topAct) tea.Cmd {
	return func() tea.Msg { return topDone{act, m.agent.do(m.ctx, act)} }
}

// Update implements [tea.Model].
func (m topModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case topTick:
		return m, m.look()
	case topSeen:
		return m.saw(msg), tea.Tick(topPace, func(time.Time) tea.Msg { return topTick{} })
	case topDone:
		m.note = msg.act.String() + ": done"
		if msg.err != nil {
			m.note = textfmt.OneLine(msg.err.Error())
		}
	case topEvent:
		m.events = append([]agent.Event{agent.Event(msg)}, m.events...)
		m.events = m.events[:min(len(m.events), maxTopEvents)]
	case tea.KeyPressMsg:
		return m.pressed(msg)
	}
	return m, nil
}

// saw takes a look over, or keeps the last one when there is none.
func (m topModel) saw(s topSeen) topModel {
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
