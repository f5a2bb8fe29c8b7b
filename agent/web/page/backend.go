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

// A backendView is one backend; only its first line and its troubles unless it is open.
type backendView struct {
	Name, Proxy, Phase string
	Open               bool
	Toggle, Look       string // addresses: the other way round, and as it is
	Class, Counts      string
	Bar                []run
	Slots              int
	Troubles           []string
	Acceptable         []acceptView
	Paused             bool
	From               string
	Sources            []sourceView
	Maps               []slotMap
	Rows               []slotRow
	Overflow           []string
	Forecast           string
}

// A slotRow is one slot that has an endpoint, or is not as it should be.
type slotRow struct {
	Backend, Look                       string
	Slot, Endpoint, Title, State, Class string
	Override, Kept, From                string
	Live                                []liveView
	Server                              string // what the API knows it by, "" if nothing can be asked of it
	Drained                             bool
}

// A liveView is a slot as one or more instances show it.
type liveView struct {
	Instances, Words, Class string
}

func viewBackend(b *api.BackendStatus, s api.Status, open bool) backendView {
	v := backendView{
		Name: b.Name, Phase: b.Phase, Open: open, Slots: len(b.Slots), Bar: bar(b), Troubles: troubles(b),
		Counts: countWords(b), Class: "good",
	}
	if b.Backend != b.Name {
		v.Proxy = b.Backend
	}
	if len(v.Troubles) > 0 {
		v.Class = "warn"
	}
	for _, p := range s.Pauses {
		v.Paused = v.Paused || p.Backend == b.Name
	}
	if !open {
		return v
	}
	v.From, v.Sources = comesFrom(b.Name, s.Sources)
	away := downInstances(api.Silent(s.Instances))
	v.Maps = slotMaps(b, away)
	for i := range b.Slots {
		if slot := &b.Slots[i]; worthARow(slot) {
			v.Rows = append(v.Rows, viewSlot(b, slot, s.Overrides, away))
		}
	}
	for _, e := range b.Overflow {
		v.Overflow = append(v.Overflow, strings.TrimSpace(e.Addr.String()+" "+e.Name))
	}
	v.Forecast = forecast(b.Forecast)
	for _, x := range b.Acceptable() {
		v.Acceptable = append(v.Acceptable, acceptView{x.ID, x.Kind, clock(x.Since), x.Reason, strings.Join(x.Endpoints, ", "), b.Name})
	}
	return v
}

// An acceptView is what can be accepted to go, and its form.
type acceptView struct {
	ID, Kind, Since, Reason, Endpoints, Backend string
}

// comesFrom names the sources whose endpoints a backend has.
func comesFrom(backend string, sources []api.SourceStatus) (string, []sourceView) {
	var names []string
	var views []sourceView
	for _, src := range sources {
		if src.Backend != backend {
			continue
		}
		views = append(views, viewSource(src))
		if src.InUse && !slices.Contains(names, src.Name) {
			names = append(names, src.Name)
		}
	}
	return strings.Join(names, " or "), views
}

// worthARow leaves out slots that are free everywhere.
func worthARow(s *api.SlotStatus) bool {
	return s.Endpoint != "" || slices.ContainsFunc(s.Instances, func(in api.InstanceSlot) bool {
		return !in.Lacking && (in.State.String() != api.StateMaint || in.HeldBy != "" || in.LastReply != "")
	})
}

func viewSlot(b *api.BackendStatus, s *api.SlotStatus, overrides []api.Override, away downInstances) slotRow {
	r := slotRow{Backend: b.Name, Slot: s.Name, Endpoint: s.Endpoint, Title: s.Title, State: s.State, Override: s.Override, Class: worst(s)}
	from := s.From
	if len(from) == 0 && s.Endpoint != "" && s.State != "takeover" {
		from = []string{"nobody now"}
	}
	for _, o := range overrides {
		if o.Backend != b.Name || o.Address != s.Endpoint || s.Endpoint == "" {
			continue
		}
		switch o.Kind {
		case api.OverrideServer:
			from = append(slices.Clone(s.From), "added by "+cmp.Or(o.By, "the API"))
		case api.OverrideState:
			r.Drained = true
		}
	}
	if s.Endpoint != "" && s.State != "takeover" {
		r.Server = s.Endpoint
	}
	if k := b.KeptOf(s.Endpoint); k != nil {
		r.Kept = "kept since " + clock(k.Since) + " UTC: " + k.Words()
	}
	r.From, r.Live = strings.Join(from, ", "), liveViews(s, away)
	return r
}

// liveViews says what the instances show, those that show the same together.
func liveViews(s *api.SlotStatus, away downInstances) []liveView {
	var out []liveView
	for i := range s.Instances {
		in := &s.Instances[i]
		c := away.cell(s, in)
		v := liveView{Instances: in.Instance, Words: c.Words, Class: c.Class}
		if n := len(out) - 1; n >= 0 && out[n].Words == v.Words {
			out[n].Instances += ", " + in.Instance
			continue
		}
		out = append(out, v)
	}
	return out
}

func liveWords(s *api.SlotStatus, in *api.InstanceSlot) string {
	if in.Lacking {
		return "has no such slot"
	}
	words := []string{in.State.String()}
	if in.Address != s.Endpoint && in.Address != "" {
		words = append(words, "at "+in.Address)
	}
	if s.Endpoint != "" {
		words = append(words, fmt.Sprintf("weight %d", in.Weight))
	}
	if in.Check != "" {
		words = append(words, "check "+in.Check)
	}
	if in.Sessions > 0 {
		words = append(words, discovery.Count(in.Sessions, "session"))
	}
	switch {
	case in.HeldBy == "operator" && s.Override != "": // why stands beside it
		words = append(words, setBy(in.HeldBy))
	case in.HeldBy != "":
		words = append(words, setBy(in.HeldBy)+because(in.Reason))
	}
	if in.LastReply != "" {
		words = append(words, "HAProxy said: "+in.LastReply)
	}
	return strings.Join(words, ", ")
}

// setBy says who has a slot in the state that it is in; what the guard holds is another thing.
func setBy(who string) string {
	switch who {
	case "operator":
		return "set by an operator"
	case "external":
		return "set by somebody else"
	case api.HoldTakeover:
		return "left alone: no source ever listed it"
	}
	return "set by " + who
}

// countWords says how many slots are in which state.
func countWords(b *api.BackendStatus) string {
	n := map[string]int{}
	for _, s := range b.Slots {
		n[s.State]++
	}
	var words []string
	for _, state := range []string{"ready", "drain", "down", "takeover", "free", api.SlotUnusable} {
		if n[state] > 0 {
			words = append(words, fmt.Sprintf("%d %s", n[state], state))
		}
	}
	return strings.Join(append(words, "of "+discovery.Count(len(b.Slots), "slot")), ", ")
}

// troubles says in words what somebody should look at.
func troubles(b *api.BackendStatus) []string {
	var words []string
	if b.Phase == "waiting" {
		words = append(words, "Waiting: its source has not said yet what there is")
	}
	if h := b.Hold; h != nil {
		words = append(words, holdWords(h))
	}
	if h := b.Takeover; h != nil && (b.Hold == nil || b.Hold.ID != h.ID) {
		words = append(words, holdWords(h))
	}
	for _, k := range b.Kept {
		words = append(words, keptWords(k))
	}
	if t := b.Turnover; t != nil {
		words = append(words, fmt.Sprintf("Turnover: %s stay until a new one is up, to %s UTC at most", discovery.Count(len(t.Leaving), "endpoint"), clock(t.EndsAt)))
	}
	if n := len(b.Overflow); n > 0 {
		words = append(words, "Overflow: "+discovery.Count(n, "endpoint")+" without a slot")
	}
	if r := b.NeedReload; r != nil {
		words = append(words, fmt.Sprintf("Needs a reload: %d slots, %d wanted%s", r.Slots, r.Wanted, because(r.Why)))
	}
	if b.Paused != nil {
		words = append(words, fmt.Sprintf("Paused until %s UTC by %s", clock(*b.Paused), b.PausedBy))
	}
	if b.Problem != "" {
		words = append(words, "Problem: "+b.Problem)
	}
	if n := checkedDown(b); n > 0 {
		words = append(words, "HAProxy's check fails for "+discovery.Count(n, "slot"))
	}
	if where := takenOut(b); len(where) > 0 {
		words = append(words, "Taken out by somebody else: "+strings.Join(where, ", "))
	}
	return words
}

// takenOut names the slots that are out of service behind the agent's back, a few of them.
func takenOut(b *api.BackendStatus) []string {
	const named = 3
	var where []string
	n := 0
	for _, s := range b.Slots {
		for _, in := range s.Instances {
			if in.HeldBy != "external" {
				continue
			}
			if n++; n <= named {
				where = append(where, s.Name+" at "+in.Instance)
			}
		}
	}
	if n > named {
		where = append(where, fmt.Sprintf("%d more", n-named))
	}
	return where
}

// checkedDown counts the slots that take traffic and that some instance finds down.
func checkedDown(b *api.BackendStatus) (n int) {
	for i := range b.Slots {
		if worst(&b.Slots[i]) == classDown {
			n++
		}
	}
	return n
}

func holdWords(h *api.Hold) string {
	end := ", until somebody accepts it"
	if !h.ReleasesAt.IsZero() {
		end = ", until " + clock(h.ReleasesAt) + " UTC at the earliest"
	}
	return fmt.Sprintf("Held since %s UTC: %s. %s would go%s", clock(h.Since), h.Words(), discovery.Count(len(h.WouldRemove), "endpoint"), end)
}

// keptWords says what is kept of one part of a source.
func keptWords(k api.KeptSet) string {
	words := fmt.Sprintf("Kept since %s UTC: %s that no source lists now (%s)", clock(k.Since), discovery.Count(len(k.Endpoints), "endpoint"), k.Words())
	if n := len(k.Yielded); n > 0 {
		words += fmt.Sprintf("; %d gave the slot to what is listed", n)
	}
	return words
}

func forecast(f api.Forecast) string {
	if f.FullInSeconds <= 0 {
		return ""
	}
	return fmt.Sprintf("%d free, full in %s if it goes on growing by %d an hour", f.Free, discovery.AboutSeconds(f.FullInSeconds), f.PerHour)
}

// clock has the date: what is held or kept may have been so for days.
func clock(at time.Time) string { return at.UTC().Format(time.DateTime) }
