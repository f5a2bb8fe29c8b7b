package top

import (
	"slices"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// maxTyped bounds what is typed, in runes.
const maxTyped = 60

// newInput is where a text is typed, which begins with that one.
func newInput(text string) textinput.Model {
	in := textinput.New()
	in.Prompt, in.CharLimit = "", maxTyped
	in.KeyMap.Paste.SetEnabled(false) // it would run a program; what a terminal pastes is taken
	in.SetStyles(textinput.Styles{})
	in.SetValue(text)
	in.Focus() // its command would have the cursor blink
	return in
}

func helpLines() []string {
	return []string{
		"1 2 3 4 5   instances, servers, sources and holds, events, what operators asked for",
		"up down     choose a line (also k j, page up, page down)",
		"tab         the next instance alone, then all again",
		"/           show only what contains a text",
		"esc         show everything again, also while a text is typed",
		"s           sort by the next column",
		"a           free slots too",
		"d m r       drain the server; stop it (maint); start it again, which ends both",
		"w           give it another weight: 58, 20%, source",
		"p           pause the writing to its backend, or go on",
		"A           accept that what is held or kept under this id goes (3, up, down)",
		"q           quit",
	}
}

// pressed does what a key means now.
func (m model) pressed(key tea.KeyPressMsg) (tea.Model, tea.Cmd) {
	if key.String() == "ctrl+c" {
		return m, tea.Quit
	}
	switch m.mode {
	case filters, weighs:
		return m.typing(key), nil
	case confirms:
		m.mode = browses
		if key.String() == "y" {
			m.note = m.act.String() + " …"
			return m, m.do(m.act)
		}
		m.note = "nothing is done"
		return m, nil
	case helps:
		m.mode = browses
		return m, nil
	}
	m.note = ""
	if key.String() == "q" {
		return m, tea.Quit
	}
	return m.browse(key.String()), nil
}

// browse does what a key means that changes what is shown, or begins a question.
func (m model) browse(key string) model {
	switch key {
	case "1", "2", "3", "4", "5":
		m.view, m.sorted, m.cursor = viewKind(key[0]-'1'), 0, 0
	case "tab":
		m.instance, m.cursor = (m.instance+1)%(len(m.seen.status.Instances)+1), 0
	case "s":
		m.sorted = (m.sorted + 1) % (len(m.table().columns) + 1)
	case "a":
		m.all = !m.all
		m.cursor = 0
	case "/":
		m.mode, m.input = filters, newInput(m.filter)
	case "esc":
		m = m.unfiltered()
	case "?":
		m.mode = helps
	case "up", "k", "down", "j", "pgup", "pgdown", "home", "end":
		m.cursor = m.moved(key)
	case "d", "m", "r", "w", "p", "A":
		return m.asked(key)
	}
	return m
}

func (m model) moved(key string) int {
	last := len(m.table().rows) - 1
	to := map[string]int{"up": m.cursor - 1, "k": m.cursor - 1, "down": m.cursor + 1, "j": m.cursor + 1,
		"pgup": m.cursor - m.lines(), "pgdown": m.cursor + m.lines(), "home": 0, "end": last}[key]
	return max(0, min(to, last))
}

// typing takes a text, until enter or escape, which ends a filter too.
func (m model) typing(key tea.KeyPressMsg) model {
	switch key.String() {
	case "esc":
		if m.mode == filters {
			m = m.unfiltered()
		}
		m.mode = browses
		return m
	case "enter":
		return m.entered()
	}
	return m.edited(key)
}

// edited is what a key or a paste makes of the text. Nothing in it is obeyed by a terminal.
func (m model) edited(msg tea.Msg) model {
	m.input, _ = m.input.Update(msg)
	if text := m.input.Value(); text != textfmt.Printable(text) {
		m.input.SetValue(textfmt.Printable(text))
	}
	return m
}

func (m model) entered() model {
	was, typed := m.mode, m.input.Value()
	m.mode = browses
	if was == filters {
		m.filter, m.cursor = typed, 0
		return m
	}
	if typed != "source" {
		if err := api.CheckWeight(typed); err != nil {
			m.note = textfmt.OneLine(err.Error())
			return m
		}
	}
	m.act.weight, m.mode = typed, confirms
	return m
}

// asked begins to ask whether something is to be done to what the cursor is on.
func (m model) asked(key string) model {
	row, ok := m.chosen()
	if key == "p" {
		if row.backend == "" && !m.isPaused("") {
			m.note = "choose a line of a backend first (2, 3, up, down); slotsync pause stops the writing to all"
			return m
		}
		m.act, m.mode = action{what: "pause", backend: row.backend}, confirms
		if m.isPaused(row.backend) {
			m.act.what = "resume"
		}
		return m
	}
	if key == "A" {
		if row.id == "" {
			m.note = "choose a line with an id first (3, up, down)"
			return m
		}
		m.act, m.mode = action{what: "accept", backend: row.backend, id: row.id}, confirms
		return m
	}
	if !ok || row.server == "" {
		m.note = "choose a server with an endpoint first (2, up, down)"
		return m
	}
	what := map[string]string{"d": api.StateDrain, "m": api.StateMaint, "r": api.StateReady, "w": "weight"}[key]
	m.act = action{what: what, backend: row.backend, server: row.server}
	if m.mode = confirms; key == "w" {
		m.mode, m.input = weighs, newInput("")
	}
	return m
}

func (m model) chosen() (tableRow, bool) {
	rows := m.table().rows
	if m.cursor >= len(rows) {
		return tableRow{}, false
	}
	return rows[m.cursor], true
}

func (m model) isPaused(backend string) bool {
	return slices.ContainsFunc(m.seen.status.Pauses, func(p api.Pause) bool { return p.Backend == backend })
}
