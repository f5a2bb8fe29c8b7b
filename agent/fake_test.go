package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// What [reconciler.Reconciler] keeps to.
const (
	alertEvery = 40 * time.Millisecond  // how often it looks after it wrote
	seenLately = 50 * time.Millisecond  // how long what was seen is as good as seen now
	syncAfter  = 500 * time.Millisecond // when it has state files survive a power loss
	barredFor  = 15 * time.Second       // how long it does not try a slot that took no address
)

// fakeConn is an HAProxy that keeps state, refuses what the real one refuses,
// and fails as it is told.
type fakeConn struct {
	mu      sync.Mutex
	name    string
	process slots.Process
	servers map[string][]slots.Server
	saved   map[string][]slots.Server
	saveErr error         // of the state file
	frozen  chan struct{} // Save waits for it to be closed; nil: it does not
	// savers are in Save now, saversMost were at a time.
	savers, saversMost int
	writes             []string
	infos              int
	options            string // of the server that was added last
	views              int
	applies            int
	touched            map[string]time.Time // when somebody else changed a slot
	changed            map[string]time.Time // when the class of a slot did

	err      error         // what every call fails with
	hang     chan struct{} // calls wait for it to be closed; nil: they do not
	hung     int           // calls that wait
	met      int           // calls that came while it hung
	afterIt  error         // Apply does its work and then fails with it
	refuse   map[string]slots.Cause
	late     []slots.Change // what was sent to it while it hung
	delay    time.Duration  // of every call
	delayed  int            // calls that are under way because of that, together the most at once
	together int
	disk     time.Duration  // that it takes to bring state files there
	sick     netip.AddrPort // whose agent says maint
	// resolvers are the backends in which HAProxy's own find the addresses.
	resolvers map[string]bool
}

func newFake(name, backend string, n int) *fakeConn {
	f := &fakeConn{name: name, saved: map[string][]slots.Server{}, servers: map[string][]slots.Server{}, refuse: map[string]slots.Cause{}, touched: map[string]time.Time{}, changed: map[string]time.Time{}}
	f.process = slots.Process{Version: "2.6.12", Pid: 100, Started: 1, Node: name}
	f.addBackend(backend, n)
	return f
}

var parked = netip.MustParseAddrPort("127.0.0.1:1")

func (f *fakeConn) addBackend(backend string, n int) {
	f.servers[backend] = nil
	for i := range n {
		f.servers[backend] = append(f.servers[backend], slots.Server{
			Name: fmt.Sprintf("web%d", i+1), Addr: parked, Class: slots.Maint, Weight: 100, Initial: 100, Disabled: true, FQDN: "slot.invalid",
		})
	}
}

// restart gives the fake a new process: from the state file, or empty.
func (f *fakeConn) restart(fromFile bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.process.Pid++
	f.process.Started += 10
	for backend, servers := range f.servers {
		f.addBackend(backend, len(servers))
		if saved := f.saved[backend]; fromFile && saved != nil {
			copy(f.servers[backend], saved)
		}
	}
}

func (f *fakeConn) String() string { return "/run/" + f.name }

// enter waits and fails as the fake was told.
func (f *fakeConn) enter(ctx context.Context, bounded bool) error {
	f.mu.Lock()
	hang, err, delay := f.hang, f.err, f.delay
	f.mu.Unlock()
	if delay > 0 {
		f.with(func() { f.delayed++; f.together = max(f.together, f.delayed) })
		time.Sleep(delay)
		f.with(func() { f.delayed-- })
	}
	if hang != nil {
		f.count(1)
		f.with(func() { f.met++ })
		defer f.count(-1)
		limit := time.Hour * 1000
		if bounded {
			limit = time.Second
		}
		select {
		case <-hang:
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(limit):
			return &slots.InstanceError{Fault: slots.Hung, Err: errors.New("no answer")}
		}
	}
	return err
}

func (f *fakeConn) count(n int) { f.mu.Lock(); f.hung += n; f.mu.Unlock() }

func (f *fakeConn) Info(ctx context.Context) (slots.Process, error) {
	if err := f.enter(ctx, false); err != nil {
		return slots.Process{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.infos++
	return f.process, nil
}

func (f *fakeConn) View(ctx context.Context, backends []string, sessions bool) (slots.View, error) {
	if err := f.enter(ctx, true); err != nil {
		return slots.View{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.views++
	return f.view(backends, sessions), nil
}

func (f *fakeConn) viewed() int { f.mu.Lock(); defer f.mu.Unlock(); return f.views }

func (f *fakeConn) view(backends []string, sessions bool) slots.View {
	v := slots.View{Process: f.process, Servers: map[string][]slots.Server{}}
	for _, b := range backends {
		servers, ok := f.servers[b]
		if !ok {
			continue
		}
		servers = slices.Clone(servers)
		for i := range servers {
			if !sessions {
				servers[i].Sessions, servers[i].Served = -1, false
			}
			servers[i].Since = time.Since(f.changed[servers[i].Name]).Truncate(time.Second)
		}
		v.Servers[b] = servers
	}
	return v
}

func (f *fakeConn) Apply(ctx context.Context, seen slots.Process, changes []slots.Change) (slots.Outcome, error) {
	if err := f.enter(ctx, true); err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		if fault, _ := slots.FaultOf(err); fault == slots.Hung {
			f.late = append(f.late, changes...)
			return slots.Outcome{}, &slots.InstanceError{Fault: slots.Hung, Sent: true, Err: err}
		}
		return slots.Outcome{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !seen.Same(f.process) {
		return slots.Outcome{}, &slots.InstanceError{Fault: slots.Restarted, Err: errors.New("another process")}
	}
	f.applies++
	var out slots.Outcome
	var touched []string
	for _, c := range changes {
		touched = append(touched, c.Backend)
		cause, ok := f.refuse[c.Slot]
		if cause == slots.NoWeights && c.SetClass { // the rest of it is taken
			rest := c
			rest.Weight = 0
			f.do(rest)
			ok = c.Weight > 0
			if !ok {
				continue
			}
		}
		if ok {
			out.Refusals = append(out.Refusals, slots.Refusal{Change: c, Cause: cause, Reply: "no"})
			continue
		}
		f.do(c)
		out.Exchanges = append(out.Exchanges, slots.Exchange{Backend: c.Backend, Slot: c.Slot,
			Command: string(c.Kind) + " " + c.Slot, Reply: "done", Answered: true, At: time.Now()})
	}
	if f.afterIt != nil {
		return slots.Outcome{}, f.afterIt
	}
	out.View = f.view(touched, false)
	return out, nil
}

func (f *fakeConn) do(c slots.Change) {
	switch c.Kind {
	case slots.Shut:
		for i := range f.servers[c.Backend] {
			if s := &f.servers[c.Backend][i]; s.Name == c.Slot {
				if s.Class != slots.Maint {
					panic("sessions ended of a slot in service: " + c.Slot)
				}
				s.Sessions = 0
			}
		}
		f.writes = append(f.writes, "shut "+c.Slot)
		return
	case slots.Add:
		f.servers[c.Backend] = append(f.servers[c.Backend], slots.Server{Name: c.Slot, Addr: c.Addr, Class: c.Class, Weight: c.Weight, Initial: c.Weight})
		f.options, f.changed[c.Slot] = c.Options, time.Now()
		f.writes = append(f.writes, "add "+c.Slot)
		return
	case slots.Remove:
		f.servers[c.Backend] = slices.DeleteFunc(f.servers[c.Backend], func(s slots.Server) bool {
			if s.Name == c.Slot && (s.Disabled || s.Class != slots.Maint || s.Sessions > 0) {
				panic("removed: " + c.Slot)
			}
			return s.Name == c.Slot
		})
		f.writes = append(f.writes, "remove "+c.Slot)
		return
	}
	for i := range f.servers[c.Backend] {
		s := &f.servers[c.Backend][i]
		if s.Name != c.Slot {
			continue
		}
		if c.Addr.IsValid() {
			if s.Class != slots.Maint && time.Since(f.touched[s.Name]) > seenLately {
				panic("address of a slot in service set: " + c.Slot)
			}
			if s.Sessions > 0 && time.Since(f.touched[s.Name]) > time.Second {
				panic("busy slot re-addressed: " + c.Slot)
			}
			s.Addr = c.Addr
		}
		if c.Weight > 0 {
			s.Weight = c.Weight
		}
		if s.Agent && c.SetClass {
			s.AgentOn = c.Class == slots.Ready
		}
		if c.SetClass && s.Class != c.Class {
			s.Class = c.Class
			f.changed[s.Name] = time.Now()
		}
		if s.AgentOn && s.Addr == f.sick {
			s.Class = slots.Maint // as its agent says at once
		}
		f.writes = append(f.writes, string(c.Kind)+" "+c.Slot)
	}
}

// wakeUp ends a hang: what was sent meanwhile is executed after the fact.
func (f *fakeConn) wakeUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.hang)
	f.hang = nil
}

func (f *fakeConn) Save(backend string, servers []slots.Server) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.savers++
	f.saversMost = max(f.saversMost, f.savers)
	defer func() { f.savers-- }()
	if frozen := f.frozen; frozen != nil {
		f.mu.Unlock()
		<-frozen
		f.mu.Lock()
	}
	if f.saveErr != nil {
		return f.saveErr
	}
	f.saved[backend] = slices.Clone(servers)
	return nil
}

func (f *fakeConn) Sync() error { time.Sleep(f.disk); return nil }

func (f *fakeConn) Resolved(ctx context.Context, asked map[string]slots.Server) (map[string]bool, error) {
	if err := f.enter(ctx, true); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	found := map[string]bool{}
	for b, s := range asked {
		found[b] = s.Resolved || s.FQDN != "" && f.resolvers[b]
	}
	return found, nil
}

// set changes one server as somebody else would.
func (f *fakeConn) set(slot string, change func(*slots.Server)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, servers := range f.servers {
		for i := range servers {
			if servers[i].Name == slot {
				was := servers[i].Class
				change(&servers[i])
				f.touched[slot] = time.Now()
				if servers[i].Class != was {
					f.changed[slot] = time.Now()
				}
			}
		}
	}
}

func (f *fakeConn) with(do func()) { f.mu.Lock(); defer f.mu.Unlock(); do() }

// show returns the slots that are not parked, as "web1=:80 web2=:81/drain".
func (f *fakeConn) show() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return showServers(f.servers["web"])
}

func showServers(servers []slots.Server) string {
	var out []string
	for _, s := range servers {
		switch {
		case s.Class == slots.Ready:
			out = append(out, fmt.Sprintf("%s=:%d", s.Name, s.Addr.Port()))
		case s.Class == slots.Drain:
			out = append(out, fmt.Sprintf("%s=:%d/drain", s.Name, s.Addr.Port()))
		}
	}
	return strings.Join(out, " ")
}

func (f *fakeConn) takeWrites() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.writes
	f.writes = nil
	return w
}
