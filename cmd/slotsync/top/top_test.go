package top

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt/textfmttest"
	"github.com/slotsync/slotsync/slots"
)

// A fakeTop says what it is told to, and notes what is done.
type fakeTop struct {
	seen snapshot
	err  error
	acts []string
}

func (f *fakeTop) look(context.Context) (snapshot, error) { return f.seen, f.err }

func (f *fakeTop) do(_ context.Context, act action) error {
	f.acts = append(f.acts, act.String())
	return f.err
}

// topScene is two HAProxies, of which the second says nothing.
func topScene() snapshot {
	at := time.Date(2030, 11, 21, 10, 15, 0, 0, time.UTC)
	status := api.Status{
		Version: "1.2.3", At: at, Ready: true,
		Instances: []api.InstanceStatus{{Name: "edge-1", Up: true, InSync: true, Version: "3.2.1", Pid: 42}, {Name: "edge-2", LastError: "refused: nobody listens on /run/haproxy/edge-2.sock: start it"}},
		Sources:   []api.SourceStatus{{Name: "consul", Backend: "site", State: "ok", Endpoints: 2, Asks: "service web"}},
		Backends: []api.BackendStatus{{Name: "site", Backend: "web", Phase: "live",
			Hold: &api.Hold{ID: "h1a2b3", Kind: "empty", Since: at.Add(-90 * time.Second), WouldRemove: []string{"10.0.0.1:80"}},
			Kept: []api.KeptSet{{ID: "k1a2b3", Source: "dns", Part: "AAAA of web", Reason: "SERVFAIL", Since: at.Add(-time.Minute), Endpoints: []string{"10.0.0.1:80"}}},
			Slots: []api.SlotStatus{{Name: "web1", Endpoint: "10.0.0.1:80", State: "ready"}, {Name: "web2", Endpoint: "10.0.0.2:80", State: "drain", Title: "blue",
				Instances: []api.InstanceSlot{{Instance: "edge-1", HeldBy: "operator"}, {Instance: "edge-2"}}},
				{Name: "web3", State: "free"}}}},
		Overrides: []api.Override{{Address: "10.0.0.9", Kind: api.OverrideState, State: "maint", By: "ann", Reason: "disk"},
			{Backend: "site", Address: "10.0.0.2:80", Kind: api.OverrideState, State: "drain", By: "bob"}},
	}
	dump := slots.Dump{}
	dump.Add("pxname", "web", "svname", "web1", "status", "UP", "weight", "100", "scur", "7", "smax", "9", "bin", "1234567", "lastchg", "3700", "check_status", "L4OK")
	dump.Add("pxname", "web", "svname", "web2", "status", "DRAIN", "weight", "50", "scur", "30", "bin", "5", "lastchg", "61")
	dump.Add("pxname", "web", "svname", "web3", "status", "MAINT", "scur", "0")
	dump.Add("pxname", "web", "svname", "BACKEND", "status", "UP", "scur", "37")
	dump.Add("pxname", "in", "svname", "FRONTEND", "status", "OPEN", "scur", "40")
	return snapshot{status: status, stats: []slots.Dump{dump, {}}}
}

// press sends keys to a model, one a word, and does what it asks for.
func press(t *testing.T, m model, keys ...string) model {
	t.Helper()
	for _, name := range keys {
		next, cmd := m.Update(pressOf(name))
		m = next.(model)
		if cmd != nil && name == "y" {
			next, _ = m.Update(cmd())
			m = next.(model)
		}
	}
	return m
}

func pressOf(name string) tea.KeyPressMsg {
	special := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "up": tea.KeyUp, "down": tea.KeyDown, "backspace": tea.KeyBackspace, "end": tea.KeyEnd, "home": tea.KeyHome}
	if code, ok := special[name]; ok {
		return tea.KeyPressMsg{Code: code}
	}
	return tea.KeyPressMsg{Code: []rune(name)[0], Text: name}
}

func startTop(t *testing.T, f *fakeTop) model {
	t.Helper()
	m := newModel(t.Context(), f, false)
	next, cmd := m.Update(m.Init()())
	if cmd == nil {
		t.Fatal("nothing asks again")
	}
	next, _ = next.Update(tea.WindowSizeMsg{Width: 240, Height: 20})
	return next.(model)
}

func TestTopShows(t *testing.T) {
	tests := []struct {
		name  string
		keys  []string
		has   []string
		lacks []string
	}{
		{"servers", nil, []string{"slotsync 1.2.3  1/2 instances in sync  1/1 sources ok  1 backend", "[2 servers]", ">edge-1   web/web1    10.0.0.1:80 kept     UP",
			"L4OK", "1.2M", "1h2m", "1m1s", "web/BACKEND", "in/FRONTEND", "QCUR QMAX QLIM SCUR SMAX SLIM"}, []string{"web/web3"}},
		{"who holds a slot", nil, []string{"web/web2    10.0.0.2:80 operator DRAIN"}, nil},
		{"free slots too", []string{"a"}, []string{"web/web3"}, nil},
		{"instances", []string{"1"}, []string{"[1 instances]", "edge-1   in sync", "edge-2   down: refused: nobody listens on /run/haproxy/edge-2.sock: start it  ", "3.2.1"}, nil},
		{"sources and holds", []string{"3"}, []string{"consul", "service web", "held (empty)", "slotsync accept site h1a2b3",
			"1 kept for 1m (dns, AAAA of web: SERVFAIL) (slotsync accept site k1a2b3)", "h1a2b3", "k1a2b3", "dns, AAAA of web: SERVFAIL: 10.0.0.1:80"}, nil},
		{"what is kept", nil, []string{"web/web1    10.0.0.1:80 kept     UP"}, nil},
		{"accept a hold", []string{"3", "down", "down", "A"}, []string{"accept site h1a2b3? y/n"}, nil},
		{"accept what is kept", []string{"3", "down", "down", "down", "A"}, []string{"accept site k1a2b3? y/n"}, nil},
		{"accept what is no id", []string{"3", "A"}, []string{"choose a line with an id first"}, []string{"y/n"}},
		{"events", []string{"4"}, []string{"[4 events]", "instance_down", "edge-2 is gone"}, nil},
		{"overrides", []string{"5"}, []string{"[5 overrides]", "all backends", "10.0.0.9", "maint by ann: disk", "site", "10.0.0.2:80", "drain by bob"}, []string{"web/web1"}},
		{"what is odd", nil, []string{"1 backend  1 held  1 kept  2 overridden"}, []string{"paused", "external"}},
		{"filter by what people call it", []string{"/", "b", "l", "u", "e", "enter"}, []string{"web/web2", " blue"}, []string{"web/web1"}},
		{"filter", []string{"/", "w", "e", "b", "2", "enter"}, []string{"web/web2", "with web2"}, []string{"web/web1"}},
		{"filter that is given up", []string{"/", "x", "esc"}, []string{"web/web1"}, []string{"with"}},
		{"filter that is ended while it is typed", []string{"/", "b", "2", "enter", "/", "x", "esc"}, []string{"web/web1"}, []string{"with"}},
		{"filter that is ended while browsing", []string{"/", "b", "2", "enter", "esc"}, []string{"web/web1"}, []string{"with", "esc"}},
		{"how a filter is ended", []string{"/", "b", "2", "enter"}, []string{"esc everything"}, []string{"web/web1"}},
		{"a weight is given up, and no filter", []string{"/", "b", "1", "enter", "w", "5", "esc"}, []string{"with b1"}, []string{"web/web2"}},
		{"filter that nothing has", []string{"/", "x", "y", "enter"}, []string{`nothing here has "xy" in it: esc shows everything`}, []string{"web/web1"}},
		{"filter, corrected", []string{"/", "x", "backspace", "W", "E", "B", "1", "enter"}, []string{"web/web1"}, []string{"web/web2"}},
		{"filter, edited", []string{"/", "e", "b", "2", "home", "w", "enter"}, []string{"with web2"}, []string{"web/web1"}},
		{"where the cursor is", []string{"/", "e", "b", "home", "w"}, []string{"filter: w_eb  ("}, nil},
		{"one instance", []string{"tab"}, []string{"only edge-1", "web/web1"}, nil},
		{"the silent instance", []string{"tab", "tab"}, []string{"only edge-2", "edge-2 does not answer: "}, []string{"web/web1"}},
		{"all instances again", []string{"tab", "tab", "tab"}, []string{"web/web1"}, []string{"only"}},
		{"help", []string{"?"}, []string{"pause the writing", "any key goes back", "esc         show everything again"}, []string{"web/web1"}},
		{"no server", []string{"end", "d"}, []string{"choose a server"}, []string{"y/n"}},
		{"question", []string{"down", "d"}, []string{"drain site/10.0.0.2:80? y/n"}, nil},
		{"weight that is none", []string{"w", "9", "9", "9", "enter"}, []string{"not within 0 and 256"}, []string{"y/n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := startTop(t, &fakeTop{seen: topScene()})
			next, _ := m.Update(eventMsg{Kind: "instance_down", Instance: "edge-2", Text: "edge-2 is gone"})
			text := strings.Join(press(t, next.(model), tt.keys...).screen(), "\n")
			for _, want := range tt.has {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not there:\n%s", want, text)
				}
			}
			for _, not := range tt.lacks {
				if strings.Contains(text, not) {
					t.Errorf("%q is there:\n%s", not, text)
				}
			}
		})
	}
}

func TestTopActs(t *testing.T) {
	tests := []struct {
		name string
		keys []string
		want []string
	}{
		{"drain", []string{"d", "y"}, []string{"drain site/10.0.0.1:80"}},
		{"stop", []string{"m", "y"}, []string{"maint site/10.0.0.1:80"}},
		{"start", []string{"r", "y"}, []string{"ready site/10.0.0.1:80"}},
		{"weight", []string{"w", "2", "0", "%", "enter", "y"}, []string{"weight site/10.0.0.1:80 20%"}},
		{"weight of the source", []string{"w", "s", "o", "u", "r", "c", "e", "enter", "y"}, []string{"weight site/10.0.0.1:80 source"}},
		{"pause", []string{"p", "y"}, []string{"pause site"}},
		{"no pause of all on an instance's line", []string{"1", "p", "y"}, nil},
		{"no pause of all on what is on all backends", []string{"5", "p", "y"}, nil},
		{"no pause of all where there is no line", []string{"/", "z", "z", "z", "enter", "p", "y"}, nil},
		{"start what is stopped everywhere", []string{"5", "r", "y"}, []string{"ready 10.0.0.9 on all backends"}},
		{"start what an operator drained", []string{"5", "down", "r", "y"}, []string{"ready site/10.0.0.2:80"}},
		{"no", []string{"d", "n"}, nil},
		{"anything else is no", []string{"d", "enter"}, nil},
		{"the question is over", []string{"d", "n", "y"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakeTop{seen: topScene()}
			press(t, startTop(t, f), tt.keys...)
			if got := fmt.Sprint(f.acts); got != fmt.Sprint(tt.want) {
				t.Errorf("did %s, want %s", got, tt.want)
			}
		})
	}
}

// TestTopTakesAPaste, without what a terminal would obey, and only where a text is typed.
func TestTopTakesAPaste(t *testing.T) {
	m := startTop(t, &fakeTop{seen: topScene()})
	for _, tt := range []struct {
		keys []string
		want string
	}{{nil, ""}, {[]string{"/"}, "web2.."}} {
		next, _ := press(t, m, tt.keys...).Update(tea.PasteMsg{Content: "web2\u202e\u2028\x1b"})
		if got := next.(model).input.Value(); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.keys, got, tt.want)
		}
	}
}

func TestTopResumesWhatIsPaused(t *testing.T) {
	f := &fakeTop{seen: topScene()}
	f.seen.status.Pauses = []api.Pause{{Backend: "site"}}
	m := press(t, startTop(t, f), "p", "y")
	if got := fmt.Sprint(f.acts); got != "[resume site]" || m.note != "resume site: done" {
		t.Errorf("did %s, says %q", got, m.note)
	}
}

func TestTopResumesAll(t *testing.T) {
	f := &fakeTop{seen: topScene()}
	f.seen.status.Pauses = []api.Pause{{}}
	press(t, startTop(t, f), "1", "p", "y")
	if got := fmt.Sprint(f.acts); got != "[resume all backends]" {
		t.Errorf("did %s", got)
	}
}

func TestTopSorts(t *testing.T) {
	m := startTop(t, &fakeTop{seen: topScene()})
	_, columns := serverColumns()
	sessions := slices.IndexFunc(columns, func(c column) bool { return c.head == "SCUR" }) + 5
	for range sessions {
		m = press(t, m, "s")
	}
	var names []string
	for _, r := range m.table().rows {
		names = append(names, r.cells[1])
	}
	if got := strings.Join(names, " "); got != "in/FRONTEND web/BACKEND web/web2 web/web1" {
		t.Errorf("by sessions: %s", got)
	}
}

// TestTopGoesOnWithoutAnAgent: it says so, keeps what it saw, and asks again.
func TestTopGoesOnWithoutAnAgent(t *testing.T) {
	m := startTop(t, &fakeTop{seen: topScene()})
	next, cmd := m.Update(seenMsg{err: errors.New("no agent listens\x1b[2J")})
	text := strings.Join(next.(model).screen(), "\n")
	if cmd == nil || !strings.Contains(text, "AGENT GONE: no agent listens") || !strings.Contains(text, "web/web1") || strings.Contains(text, "\x1b") {
		t.Errorf("asks again: %t\n%s", cmd != nil, text)
	}
	next, _ = next.Update(seenMsg{look: topScene()})
	if text := strings.Join(next.(model).screen(), "\n"); strings.Contains(text, "GONE") {
		t.Errorf("it is back:\n%s", text)
	}
}

// TestTopFits: no line is wider than the terminal, and there are no more than fit, in
// every view, with colours and without.
func TestTopFits(t *testing.T) {
	for _, size := range []tea.WindowSizeMsg{{Width: 240, Height: 60}, {Width: 80, Height: 24}, {Width: 20, Height: 6}, {Width: 1, Height: 1}, {}} {
		for _, keys := range [][]string{{"1"}, {"2"}, {"3"}, {"4"}, {"5"}, {"?"}, {"2", "d"}, {"end"}} {
			f := &fakeTop{seen: topScene()}
			m := startTop(t, f)
			m.colour = true
			next, _ := m.Update(size)
			lines := press(t, next.(model), keys...).screen()
			if len(lines) > size.Height {
				t.Errorf("%v %v: %d lines", size, keys, len(lines))
			}
			for _, line := range lines {
				if lipgloss.Width(line) > max(1, size.Width) {
					t.Errorf("%v %v: %q is too wide", size, keys, line)
				}
			}
		}
	}
}

// TestTopNamesItsKeys: how to get help and out is there at any width, and no key is cut.
func TestTopNamesItsKeys(t *testing.T) {
	for width, want := range map[int]string{
		20:  "? help  q quit",
		80:  "? help  q quit  1-5 view  / filter  d drain  m maint  r ready  w weight  p pause",
		240: "? help  q quit  1-5 view  / filter  d drain  m maint  r ready  w weight  p pause  A accept  tab instance  s sort",
	} {
		next, _ := startTop(t, &fakeTop{seen: topScene()}).Update(tea.WindowSizeMsg{Width: width, Height: 24})
		lines := next.(model).screen()
		if got := lines[len(lines)-1]; got != want {
			t.Errorf("%d wide: %q, want %q", width, got, want)
		}
	}
}

// TestTopSaysThatThereIsNothing: an empty view says so, and what would be there.
func TestTopSaysThatThereIsNothing(t *testing.T) {
	at := api.Status{At: time.Now()}
	up, down := at, at
	up.Instances, down.Instances = []api.InstanceStatus{{Name: "edge-1", Up: true}}, []api.InstanceStatus{{Name: "edge-1"}}
	free := snapshot{status: up, stats: []slots.Dump{{}}}
	free.status.Backends = []api.BackendStatus{{Name: "web", Backend: "web", Slots: []api.SlotStatus{{Name: "web1", State: "free"}}}}
	free.stats[0].Add("pxname", "web", "svname", "web1", "status", "MAINT")
	for _, tt := range []struct {
		key  string
		seen snapshot
		want string
	}{
		{"1", snapshot{}, "nothing is known: the agent has not answered yet"},
		{"1", snapshot{status: at}, "no HAProxy is configured"},
		{"2", snapshot{status: down, stats: make([]slots.Dump, 1)}, "no HAProxy answers"},
		{"2", snapshot{status: up, stats: make([]slots.Dump, 1)}, "HAProxy has shown no counters yet"},
		{"2", snapshot{status: up, stats: make([]slots.Dump, 1), unsaid: []error{errors.New("edge-1: more than 260000 values")}}, "no counters: edge-1: more than 260000 values"},
		{"2", free, "every slot is free: a shows them"},
		{"3", snapshot{status: at}, "no backend is configured"},
		{"4", snapshot{}, "no event yet"},
		{"5", snapshot{status: at}, "nobody has asked for anything"},
	} {
		if text := strings.Join(press(t, startTop(t, &fakeTop{seen: tt.seen}), tt.key).screen(), "\n"); !strings.Contains(text, tt.want) {
			t.Errorf("%q is not there:\n%s", tt.want, text)
		}
	}
}

func TestTopBoundsItsEvents(t *testing.T) {
	m := newModel(t.Context(), &fakeTop{}, false)
	for i := range maxEvents + 5 {
		next, _ := m.Update(eventMsg{ID: uint64(i)})
		m = next.(model)
	}
	if len(m.events) != maxEvents || m.events[0].ID != maxEvents+4 {
		t.Errorf("%d events, the newest is %d", len(m.events), m.events[0].ID)
	}
}

// TestTopObeysNothing in any view, with any question.
func TestTopObeysNothing(t *testing.T) {
	seen := snapshot{status: textfmttest.Filled[api.Status](textfmttest.Obeyed), stats: make([]slots.Dump, 1)}
	b := &seen.status.Backends[0]
	seen.stats[0].Add("pxname", b.Backend, "svname", b.Slots[0].Name, "status", textfmttest.Obeyed, "weight", textfmttest.Obeyed, "stot", textfmttest.Obeyed, "lastchg", textfmttest.Obeyed)
	for _, keys := range [][]string{{"1"}, {"2"}, {"3"}, {"4"}, {"tab"}, {"2", "d"}, {"2", "w"}, {"2", "w", "5", "enter"}, {"2", "p"}, {"2", "d", "y"}} {
		m := startTop(t, &fakeTop{seen: seen})
		next, _ := m.Update(eventMsg(textfmttest.Filled[api.Event](textfmttest.Obeyed)))
		next, _ = next.Update(tea.WindowSizeMsg{Width: 1000, Height: 20})
		textfmttest.CheckObeyed(t, fmt.Sprint(keys), strings.Join(press(t, next.(model), keys...).screen(), "\n"))
	}
}
