package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

// A pageView is all that the page shows, ready to be written.
type pageView struct {
	Title, Version string
	// Anonymous: who asks may see nothing before signing in.
	Anonymous bool
	Who       string // who asks, and with which rights
	Operates  bool   // who asks may drain and so on
	Signed    bool   // and has signed in
	SignIn    signInView
	Said      string // why what was asked for last was not done
	At        time.Time
	Up        string // for how long
	NotReady  []string
	Known     bool   // what follows; else NotReady says why not
	Refused   string // why the configuration that was read last is not in force
	Look      string // the address of what is shown
	Filter    string
	Trouble   bool
	Troubled  int
	// TroubleLook is the address with the other backends left out, or shown again.
	TroubleLook   string
	Shown, Total  int
	Pauses        []string
	Paused        bool // everything is
	Overrides     []overrideView
	OverridesMore int
	Instances     []instanceView
	Backends      []backendView
	Sources       []sourceView
	SourcesOpen   bool
	SourceTrouble int
	Reloads       []reloadView
	Charts        []chart
	Events        []eventView
	NoEvents      string // why there is none
	Legend        []cellView
}

// A signInView is by what one can sign in.
type signInView struct{ Token, Users bool }

type instanceView struct {
	Name, Socket, Version, Words, Lag, Error string
	Pid, Restarts                            int
	Class                                    string
}

type sourceView struct {
	Name, Backend, Asks, Words, Class, Age, Error string
	Endpoints                                     int
}

// An overrideView is what an operator asked for; Do is what ends it, "" where a command
// does.
type overrideView struct {
	ID, Look, Backend, Server, Words, Do string
}

type reloadView struct{ Name, Instances, Words, Error string }

type eventView struct {
	ID                string
	At                time.Time
	Kind, About, Text string
	Class, Clock      string
}

// viewOf is what the page shows of s and the events, oldest first.
func viewOf(s api.Status, events []api.Event, l viewState) pageView {
	v := pageView{
		Title: "slotsync", Version: s.Version, At: s.At.UTC(), Up: discovery.About(s.At.Sub(s.Started)), Look: l.href(),
		Filter: l.filter, Trouble: l.trouble, Total: len(s.Backends), Refused: s.ConfigRefused, Known: s.Unanswered == "", Legend: legend(),
	}
	if !s.Ready {
		v.NotReady = s.NotReady
		if len(v.NotReady) == 0 {
			v.NotReady = []string{"it has not said why"}
		}
	}
	other := l
	other.trouble = !l.trouble
	v.TroubleLook = other.href()
	for _, p := range s.Pauses {
		v.Pauses = append(v.Pauses, cmp.Or(p.Backend, "all backends")+": "+p.Words())
		v.Paused = v.Paused || p.Backend == ""
	}
	v.addOverrides(s.Overrides)
	for _, in := range s.Instances {
		v.Instances = append(v.Instances, viewInstance(in))
	}
	for _, r := range s.Reloads {
		v.Reloads = append(v.Reloads, viewReload(r, s.At))
	}
	v.addBackends(s, l)
	v.addSources(s)
	v.Charts = charts(events, s.At)
	v.Events = viewEvents(events)
	if n := v.Troubled; n > 0 {
		v.Title = fmt.Sprintf("(%d) slotsync", n)
	}
	return v
}

// addOverrides lists what operators asked for, also of what nobody lists now.
func (v *pageView) addOverrides(overrides []api.Override) {
	shown := overrides[:min(len(overrides), maxOverrides)]
	v.OverridesMore = len(overrides) - len(shown)
	for i := range shown {
		o := &shown[i]
		ends := map[string]string{api.OverrideState: api.StateReady, api.OverrideWeight: "weight"}[o.Kind]
		v.Overrides = append(v.Overrides, overrideView{"o-" + o.Kind + "-" + o.Backend + "-" + o.Address, v.Look, o.Backend, o.Address, o.Words(), ends})
	}
}

func (v *pageView) addBackends(s api.Status, l viewState) {
	var shown []*api.BackendStatus
	for i := range s.Backends {
		b := &s.Backends[i]
		if len(troubles(b)) > 0 {
			v.Troubled++
		}
		if l.matches(b) {
			shown = append(shown, b)
		}
	}
	many := len(shown) > manyBackends
	v.Shown = len(shown)
	for _, b := range shown {
		open := l.open(b.Name, many)
		row := viewBackend(b, s, open)
		row.Toggle, row.Look = l.toggled(b.Name, open, many).href(), v.Look
		for i := range row.Rows {
			row.Rows[i].Look = v.Look
		}
		v.Backends = append(v.Backends, row)
	}
}

// addSources shows those of the backends that are shown, failing ones first.
func (v *pageView) addSources(s api.Status) {
	shown := map[string]bool{}
	for _, b := range v.Backends {
		shown[b.Name] = true
	}
	for _, src := range s.Sources {
		if !shown[src.Backend] {
			continue
		}
		row := viewSource(src)
		if row.Class == "bad" {
			v.SourceTrouble++
		}
		v.Sources = append(v.Sources, row)
	}
	slices.SortStableFunc(v.Sources, func(a, b sourceView) int { return rank(a.Class) - rank(b.Class) })
	v.SourcesOpen = len(v.Sources) <= manyBackends
}

// rank puts what is wrong first.
func rank(class string) int { return slices.Index([]string{"bad", "warn", "", "good"}, class) }

func viewInstance(in api.InstanceStatus) instanceView {
	v := instanceView{
		Name: in.Name, Socket: in.Socket, Version: in.Version, Pid: in.Pid, Restarts: in.Restarts, Error: in.LastError,
		Lag: discovery.AboutSeconds(in.LagSeconds), Class: "good", Words: "in sync",
	}
	switch {
	case !in.Up:
		v.Class, v.Words = "bad", "down"
	case !in.InSync:
		v.Class, v.Words = "warn", fmt.Sprintf("behind: generation %d of %d", in.Applied, in.Desired)
	}
	v.Words = strings.Join(append([]string{v.Words}, in.Deviations()...), ", ")
	if v.Class == "good" && in.External+in.Overflow+len(in.Unloaded) > 0 {
		v.Class = "warn"
	}
	return v
}

func viewSource(src api.SourceStatus) sourceView {
	v := sourceView{
		Name: src.Name, Backend: src.Backend, Asks: src.Asks, Endpoints: src.Endpoints, Error: src.LastError,
		Words: src.StateWords(), Class: "good", Age: "never",
	}
	if src.AgeSeconds >= 0 {
		v.Age = discovery.AboutSeconds(src.AgeSeconds) + " ago"
	}
	switch src.State {
	case "failing":
		v.Class = "bad"
	case "unknown", "none yet":
		v.Class = "warn"
	}
	if n := len(src.Parts) + src.PartsMore; n > 0 {
		v.Class = cmp.Or(map[string]string{"good": "warn"}[v.Class], v.Class)
		v.Words += fmt.Sprintf(", %s not whole (%s)", discovery.Count(n, "part"), src.Parts[0].Words())
	}
	if !src.InUse {
		v.Words += ", not in use"
	}
	for _, more := range []string{src.Note, src.KeptWords(), src.RejectedWords()} {
		if more != "" {
			v.Words += ", " + more
		}
	}
	return v
}

func viewReload(r api.ReloadStatus, now time.Time) reloadView {
	v := reloadView{Name: r.Name, Instances: strings.Join(r.Instances, ", "), Error: r.Error, Words: "never by this process"}
	switch {
	case r.Running:
		v.Words = "running"
	case r.Last != nil:
		v.Words = fmt.Sprintf("%s ago, %d in the last hour", discovery.About(now.Sub(*r.Last)), r.InHour)
	}
	if r.Reason != "" {
		v.Words += ", for " + r.Reason
	}
	if n := len(r.OldWorkers); n > 0 {
		v.Words += fmt.Sprintf(", %d old workers", n)
	}
	return v
}

// viewEvents shows the last ones, the newest first.
func viewEvents(events []api.Event) []eventView {
	var out []eventView
	for _, e := range slices.Backward(events[max(0, len(events)-keptOfEvents):]) {
		var about []string
		for _, s := range []string{e.Instance, e.Source, e.Backend, e.Slot} {
			if s != "" {
				about = append(about, s)
			}
		}
		out = append(out, eventView{
			ID: fmt.Sprint(e.ID), At: e.At.UTC(), Kind: strings.ReplaceAll(e.Kind, "_", " "), About: strings.Join(about, " / "), Text: e.Text,
			Clock: e.At.UTC().Format(time.TimeOnly), Class: eventClass(e.Kind),
		})
	}
	return out
}

func eventClass(kind string) string {
	switch kind {
	case api.EventSourceFailing, api.EventInstanceDown, api.EventOverflow, api.EventReloadFailed:
		return "bad"
	case api.EventHoldBegun, api.EventKeptBegun, api.EventFailover, api.EventDrift, api.EventExternalTaken, api.EventInstanceBehind, api.EventPaused:
		return "warn"
	}
	return ""
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}
