package agent

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/reconciler"
	"github.com/slotsync/slotsync/metrics"
	"github.com/slotsync/slotsync/slots"
)

// This file records what happened at an instance.

// recordReport records what a reconciler did; short are the backends of which an instance has enough
// slots now and had not before, or the other way round, and propagated is how long it took
// after the news of it.
func (a *Agent) recordReport(in *instance, before, r reconciler.Report, short []string, propagated map[string]time.Duration) {
	if r.Took > 0 {
		a.opts.Metrics.Round(in.Name, r.Took)
	}
	for _, c := range r.Commands {
		a.opts.Metrics.Commands(in.Name, c.Command, c.Result, c.N)
	}
	all := slices.Concat(linkChanged(in, before, r), slotsChanged(r, propagated, a.backend), shortChanged(r, short), drifted(in, r, a.backend), noted(r))
	for _, h := range all {
		h.event.Instance = in.Name
		a.record(h)
	}
}

// linkChanged is whether the instance answers, and as which process.
func linkChanged(in *instance, before, r reconciler.Report) (out []happening) {
	process := map[string]string{"pid": strconv.Itoa(r.Process.Pid), "version": r.Process.Version}
	up := api.Event{Kind: api.EventInstanceUp, Text: "answers", Fields: process}
	switch {
	case r.Err != nil && (before.Err == nil || !sameFault(before.Err, r.Err)):
		out = append(out, happening{level: slog.LevelWarn, line: "instance cannot be kept in step; its servers stay as they are", attrs: []any{"socket", in.Conn.String(), "err", r.Err, "to_see_why", "slotsync doctor"},
			event: api.Event{Kind: api.EventInstanceDown, Text: "cannot be kept in step; its servers stay as they are: " + r.Err.Error()}})
	case r.Err == nil && before.Err != nil:
		after := ago(r.At, in.failedAt)
		up.Text = "answers again, after " + after
		out = append(out, happening{line: "instance is back", attrs: []any{"after", after, "pid", r.Process.Pid, "version", r.Process.Version}, event: up})
	case r.Err == nil && before.At.IsZero():
		out = append(out, happening{line: "instance answers", event: up,
			attrs: []any{"socket", in.Conn.String(), "pid", r.Process.Pid, "version", r.Process.Version}})
	}
	if r.Restarted {
		out = append(out, happening{line: "instance runs a new process", attrs: []any{"pid", r.Process.Pid},
			event: api.Event{Kind: api.EventInstanceRestarted, Text: "runs a new process", Fields: process},
			count: func(m *metrics.Metrics) { m.Restarted(in.Name) }})
	}
	return out
}

func sameFault(a, b error) bool {
	x, _ := slots.FaultOf(a)
	y, _ := slots.FaultOf(b)
	return x == y
}

// slotsChanged is what was written.
func slotsChanged(r reconciler.Report, propagated map[string]time.Duration, find func(name string) *backend) (out []happening) {
	for _, name := range slices.Sorted(maps.Keys(r.Changes)) {
		took := map[string]string{"took": r.Took.Round(time.Microsecond).String()}
		if p, ok := propagated[name]; ok {
			took["propagation"] = p.Round(time.Microsecond).String()
		}
		counts, words := r.Changes[name], find(name).moveWords(r.Moved[name], r.Changes[name])
		out = append(out, happening{line: "slots changed", attrs: []any{"changes", words, "counts", counts.String(), "took", r.Took.Round(time.Microsecond)},
			event: api.Event{Kind: api.EventSlotsChanged, Backend: name, Text: words, Changes: countsByKind(counts), Slots: slotNames(r.Moved[name]), Fields: took}})
	}
	return out
}

// shortChanged is where slots are short.
func shortChanged(r reconciler.Report, short []string) (out []happening) {
	for _, name := range short {
		h := happening{line: "every endpoint has a slot at this instance again",
			event: api.Event{Kind: api.EventOverflowEnded, Backend: name, Text: "every endpoint has a slot there again"}}
		if n := r.Backends[name].Overflow; n > 0 {
			h = happening{level: slog.LevelWarn, line: "endpoints have no slot at this instance: its template has fewer than others", attrs: []any{"left_over", n},
				event: api.Event{Kind: api.EventOverflow, Backend: name, Text: fmt.Sprintf("its template has fewer slots than others: %d endpoints have none there", n)}}
		}
		out = append(out, h)
	}
	return out
}

// drifted is what was corrected.
func drifted(in *instance, r reconciler.Report, find func(name string) *backend) (out []happening) {
	for _, name := range slices.Sorted(maps.Keys(r.Drift)) {
		kinds := r.Drift[name]
		words := find(name).moveWords(slices.DeleteFunc(slices.Clone(r.Moved[name]), func(m reconciler.Move) bool { return !m.Drift }), kinds)
		out = append(out, happening{level: slog.LevelWarn, line: "drift corrected: somebody or something had changed slots", attrs: []any{"changes", words, "counts", kinds.String()},
			event: api.Event{Kind: api.EventDrift, Backend: name, Text: "put right what somebody or something had changed: " + words, Changes: countsByKind(kinds)},
			count: func(m *metrics.Metrics) {
				for kind, n := range kinds {
					m.Drift(in.Name, r.Backends[name].Proxy, string(kind), n)
				}
			}})
	}
	return out
}

// noted is what else a reconciler has seen.
func noted(r reconciler.Report) (out []happening) {
	for _, n := range r.Events {
		h := happening{line: n.Text,
			event: api.Event{Kind: kindOf(n.Kind), Backend: n.Backend, Slot: n.Slot, Fields: map[string]string{"detail": n.Detail}}}
		if n.Detail != "" {
			h.attrs = []any{"detail", n.Detail}
		}
		if n.Kind == reconciler.StateFileFailed {
			h.count = (*metrics.Metrics).StateWriteFailed
		}
		if n.Warn {
			h.level = slog.LevelWarn
		}
		out = append(out, h)
	}
	return out
}

// recordBehind records which instances are no longer in step. Each change leaves an instance
// behind for a moment: that is told only if it lasts for two ticks.
func (a *Agent) recordBehind() {
	for _, in := range a.instances {
		a.recordInStep(in)
		if in.behind++; a.inSync(in) {
			in.behind = 0
		}
		if in.inStep && in.behind > 1 {
			in.inStep = false
			a.record(step(in))
		}
	}
}

// recordInStep records that in is in step, if it was not.
func (a *Agent) recordInStep(in *instance) {
	if !in.inStep && a.inSync(in) {
		in.inStep = true
		a.record(step(in))
	}
}

// step is whether every slot of the instance is as it should be.
func step(in *instance) happening {
	if in.inStep {
		return happening{event: api.Event{Kind: api.EventInstanceInStep, Instance: in.Name, Text: "every slot is as it should be"}}
	}
	return happening{event: api.Event{Kind: api.EventInstanceBehind, Instance: in.Name, Text: "not every slot is as it should be yet"}}
}
