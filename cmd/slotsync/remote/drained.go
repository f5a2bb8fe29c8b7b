package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/slots"
)

// drainPace is how often sessions are counted while a drain is waited for.
const drainPace = time.Second

// errGivenUp: somebody ended the drain that is waited for.
var errGivenUp = errors.New("it takes new sessions again: somebody has ended the drain")

// AwaitDrained returns when no instance has a session left of any of the servers, which are
// being drained, and no old worker may have one. It gives progress what is left whenever that
// changes. An instance that does not answer is waited for. When ctx is done, the error says
// what is left. uncounted are the instances that were reloaded or restarted meanwhile and whose
// old workers nobody can ask.
func AwaitDrained(ctx context.Context, c *client.Client, servers []api.ServerRef, progress func(left string)) (uncounted []string, err error) {
	w := drainWait{client: c, servers: servers, drained: map[api.ServerRef]bool{}, processes: map[string]int{}}
	last, empty := "nobody has answered yet", false
	for {
		left, err := w.sessionsLeft(ctx)
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("%w: %s", ctx.Err(), last)
		case err != nil:
			return nil, err
		case left == "" && empty:
			return w.uncounted, nil
		case left == "": // a reload just before may be unknown to the agent yet: look twice
			last = "no session at the first look, and no time for the second"
		case left != last:
			last = left
			progress(left)
		}
		empty = left == ""
		pause(ctx, drainPace)
	}
}

// A drainWait is what is known of servers whose drain is waited for.
type drainWait struct {
	client  *client.Client
	servers []api.ServerRef
	// drained are those that were seen drained.
	drained map[api.ServerRef]bool
	// processes are the instances by the process that was seen last.
	processes map[string]int
	uncounted []string
}

// sessionsLeft says where the servers have sessions, or who does not say; "" if there are
// none. It fails if the agent answers, and refuses.
func (w *drainWait) sessionsLeft(ctx context.Context) (string, error) {
	status, err := w.client.Status(ctx)
	if errors.Is(err, client.ErrDenied) {
		return "", err
	}
	if err != nil {
		return "the agent does not answer: " + textfmt.OneLine(err.Error()), nil
	}
	if len(status.Instances) == 0 { // it starts: that it has no slots yet says nothing
		return "the agent does not answer: " + textfmt.List(status.NotReady, 1), nil
	}
	w.noteProcesses(status)
	counts := each(ctx, instanceNames(status), func(ctx context.Context, name string) (slots.Dump, error) {
		return w.client.Dump(ctx, name, slots.DumpStat)
	})
	shown := map[string]slots.Dump{}
	for _, answer := range counts {
		if answer.Error == "" {
			shown[answer.Instance] = answer.Value
		}
	}
	var left []string
	for _, server := range w.servers {
		name := textfmt.Clip(server.Backend) + "/" + textfmt.Clip(server.Endpoint)
		i := slices.IndexFunc(status.Backends, func(b api.BackendStatus) bool { return b.Name == server.Backend })
		if i < 0 {
			left = append(left, name+": the agent has no backend "+textfmt.Clip(server.Backend)+" any more, and does not say")
			continue
		}
		if w.givenUp(status.Backends[i], server) {
			return "", fmt.Errorf("%s: %w", name, errGivenUp)
		}
		if at := leftOf(status, status.Backends[i], server.Endpoint, shown); len(at) > 0 {
			left = append(left, name+": "+textfmt.List(at, 20))
		}
	}
	return strings.Join(append(left, w.oldWorkers(status)...), "; "), nil
}

// givenUp reports whether a server that was seen drained is to take sessions again.
func (w *drainWait) givenUp(b api.BackendStatus, server api.ServerRef) bool {
	i := slices.IndexFunc(b.Slots, func(s api.SlotStatus) bool { return s.Endpoint == server.Endpoint })
	if i < 0 {
		return false // no slot is to have it any more
	}
	ready := b.Slots[i].State == slots.Ready.String()
	was := w.drained[server]
	w.drained[server] = was || !ready
	return was && ready
}

// noteProcesses notes the instances that run another process than before and whose old
// workers are not known.
func (w *drainWait) noteProcesses(status api.Status) {
	for _, in := range status.Instances {
		known := slices.ContainsFunc(status.Reloads, func(r api.ReloadStatus) bool { return r.OldWorkersKnown && slices.Contains(r.Instances, in.Name) })
		before := w.processes[in.Name]
		if before != 0 && in.Pid != 0 && in.Pid != before && !known && !slices.Contains(w.uncounted, in.Name) && w.concerns(status, in.Name) {
			w.uncounted = append(w.uncounted, in.Name)
		}
		if in.Pid != 0 {
			w.processes[in.Name] = in.Pid
		}
	}
}

// concerns reports whether an instance may have any of the servers.
func (w *drainWait) concerns(status api.Status, instance string) bool {
	return slices.ContainsFunc(w.servers, func(s api.ServerRef) bool { return status.MayServe(instance, s.Backend) })
}

// oldWorkers says what reloads have left. Which servers the sessions of an old worker have,
// only HAProxy knows.
func (w *drainWait) oldWorkers(status api.Status) (left []string) {
	for _, r := range status.Reloads {
		if !slices.ContainsFunc(r.Instances, func(in string) bool { return w.concerns(status, in) }) {
			continue
		}
		for _, old := range r.OldWorkers {
			has := "may have sessions of it"
			if old.Sessions > 0 {
				has = "has " + textfmt.Count(old.Sessions, "connection") + ", of any server"
			}
			left = append(left, fmt.Sprintf("%s: the old worker %d %s", textfmt.List(r.Instances, 5), old.Pid, has))
		}
	}
	return left
}

// leftOf says for each instance what keeps an endpoint from being empty there: sessions, that it
// is not drained yet, or that nobody knows. An endpoint that its source does not list any more
// has no slot of the table, and may have sessions all the same.
func leftOf(status api.Status, b api.BackendStatus, endpoint string, shown map[string]slots.Dump) (left []string) {
	for _, in := range status.Instances {
		dump, told := shown[in.Name]
		named, ready := serversOf(b, in.Name, endpoint)
		switch {
		case !status.MayServe(in.Name, b.Name):
		case !told || !in.Up:
			left = append(left, in.Name+" does not answer")
		case ready:
			left = append(left, in.Name+" is not drained yet")
		default:
			if n, ok := sessionsAt(dump, b.Backend, endpoint, named); !ok {
				left = append(left, in.Name+" does not show its sessions")
			} else if n > 0 {
				left = append(left, in.Name+" "+textfmt.Count(n, "session"))
			}
		}
	}
	return left
}

// serversOf names the servers of a backend that have the endpoint at an instance, in a slot that is
// free by now too, and says whether any takes new sessions.
func serversOf(b api.BackendStatus, instance, endpoint string) (named []string, ready bool) {
	for _, slot := range b.Slots {
		for _, at := range slot.Instances {
			if at.Instance == instance && !at.Lacking && at.Address == endpoint {
				named = append(named, cmp.Or(at.Name, slot.Name))
				ready = ready || at.State == slots.Ready
			}
		}
	}
	return named, ready
}

// sessionsAt counts the sessions of an endpoint in a backend of HAProxy's: of the servers that
// are named, and of any other that has its address, such as one of a template that the
// configuration names no more. It reports false if a server that is named does not say.
func sessionsAt(dump slots.Dump, proxy, endpoint string, named []string) (n int, ok bool) {
	told := 0
	for _, row := range dump.Rows {
		asked := slices.Contains(named, row["svname"])
		if row["pxname"] != proxy || !asked && row["addr"] != endpoint {
			continue
		}
		sessions, err := strconv.Atoi(row["scur"])
		if err != nil {
			return 0, false
		}
		if n += sessions; asked {
			told++
		}
	}
	return n, told == len(named)
}
