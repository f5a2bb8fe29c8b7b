package simulation

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/slotsync/slotsync/agent/simulation/oracle"
	"github.com/slotsync/slotsync/discovery"
)

// A service is what one source of one backend knows, and how it is doing. It outlives the
// agents that ask it.
type service struct {
	w             *world
	backend, name string
	feedSetting

	mu      sync.Mutex
	parts   []*servicePart
	failing bool
	silent  bool
	waiting []chan struct{} // of those that wait for news
	// What its token may not read, and which token that is; see [rights].
	hidden map[netip.AddrPort]bool
	token  int
	truth  rights
	asker  *life // that asked last
}

// A servicePart is a part of it.
type servicePart struct {
	name    string
	pool    []netip.AddrPort
	there   map[netip.AddrPort]discovery.State // the truth
	weights map[netip.AddrPort]int
	state   discovery.Completeness
	dropped bool
	lie     string // "", "empty" or "short"
	confirm bool   // what confirms says nothing but the truth, whatever the lie
}

func newService(w *world, backend, feed int, f feedSetting) *service {
	s := &service{w: w, backend: backendName(backend), name: fmt.Sprint("source", feed), feedSetting: f, hidden: map[netip.AddrPort]bool{}}
	for k := range f.Parts {
		p := &servicePart{name: fmt.Sprint("part", k), there: map[netip.AddrPort]discovery.State{}, weights: map[netip.AddrPort]int{}}
		net := byte(feed)
		if f.Shared {
			net = 0
		}
		for n := range 4 {
			p.pool = append(p.pool, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(backend + 1), net + 1, byte(k + 1)}), uint16(8000+n)))
		}
		if k > 0 || !f.Parent || f.Parts == 1 {
			for n := range f.Full {
				p.there[p.pool[n]] = discovery.Ready
			}
		}
		s.parts = append(s.parts, p)
	}
	return s
}

// change does something to it and tells those that wait.
func (s *service) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	for _, c := range s.waiting {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// heal has it know everything, and say so.
func (s *service) heal() {
	s.change(func() {
		s.failing, s.silent = false, false
		clear(s.hidden)
		for _, p := range s.parts {
			p.state, p.dropped, p.lie, p.confirm = discovery.Whole, false, "", false
		}
	})
}

// answer is what it says now.
func (w *watch) answer(confirm bool) (r discovery.Reading, proves discovery.Completeness, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := false
	for i, p := range w.parts {
		if p.dropped {
			continue
		}
		part := discovery.Part{Name: p.name, State: p.state, Endpoints: p.endpoints(w.hidden, confirm)}
		if w.Parent && i > 0 {
			part.Parent = w.parts[0].name
		}
		switch p.state {
		case discovery.Unknown:
			part.Err = discovery.Errorf(discovery.Server, "no answer about %s", p.name)
		case discovery.Partial:
			part.Why = "cut"
		}
		known = known || p.state != discovery.Unknown
		r.Parts = append(r.Parts, part)
	}
	if w.failing || !known {
		return discovery.Reading{}, discovery.Unknown, discovery.Errorf(discovery.Transport, "refused")
	}
	if w.Rights && r.Parts[0].State == discovery.Whole {
		proves = w.filter(&r.Parts[0])
	}
	return r, proves, nil
}

// endpoints are those that it lists of what it may.
func (p *servicePart) endpoints(hidden map[netip.AddrPort]bool, confirm bool) (out []discovery.Endpoint) {
	lie := p.lie
	if confirm && p.confirm {
		lie = ""
	}
	for n, a := range slices.SortedFunc(maps.Keys(p.there), netip.AddrPort.Compare) {
		if hidden[a] || lie == "empty" || lie == "short" && n > 0 || p.state == discovery.Unknown || p.state == discovery.Partial && n%2 == 0 {
			continue
		}
		out = append(out, discovery.Endpoint{Addr: a, State: p.there[a], Weight: p.weights[a]})
	}
	return out
}

// A watch is one agent's view of a service: its [discovery.Source].
type watch struct {
	*service
	life  *life
	news  chan struct{}
	asked bool
	// rights are what it makes of what it may not read; reminded: it knows of before.
	rights   rights
	reminded bool
}

func (s *service) watch(l *life) *watch {
	w := &watch{service: s, life: l, news: make(chan struct{}, 1)}
	s.change(func() { s.waiting = append(s.waiting, w.news) })
	return w
}

func (w *watch) String() string { return w.backend + " of " + w.name }

// Next answers at once at first, then when there is news, and every 20 s.
func (w *watch) Next(ctx context.Context) (discovery.Reading, error) {
	if w.asked {
		select {
		case <-w.news:
		case <-time.After(20 * time.Second):
		case <-ctx.Done():
			return discovery.Reading{}, ctx.Err()
		}
	}
	w.asked = true
	if err := w.waitSilent(ctx); err != nil {
		return discovery.Reading{}, err
	}
	return w.tell(false)
}

func (w *watch) Confirm(ctx context.Context) (discovery.Reading, error) {
	if err := w.waitSilent(ctx); err != nil {
		return discovery.Reading{}, err
	}
	return w.tell(true)
}

func (w *watch) waitSilent(ctx context.Context) error {
	for {
		w.mu.Lock()
		silent := w.silent
		w.mu.Unlock()
		if !silent {
			return nil
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			w.w.judge(w.life, func(o *oracle.Oracle) { o.Failed(time.Now(), w.backend, w.name) })
			return ctx.Err()
		}
	}
}

// tell answers, and tells the oracle what.
func (w *watch) tell(confirm bool) (discovery.Reading, error) {
	r, proves, err := w.answer(confirm)
	w.w.judge(w.life, func(o *oracle.Oracle) {
		if err != nil {
			if !confirm {
				o.Failed(time.Now(), w.backend, w.name)
			}
			return
		}
		var parts []oracle.Part
		for _, p := range r.Parts {
			part := oracle.Part{Name: p.Name, Parent: p.Parent, State: max(p.State, proves).String()}
			for _, e := range p.Endpoints {
				part.Endpoints = append(part.Endpoints, oracle.Endpoint{Addr: e.Addr, State: e.State.String()})
			}
			parts = append(parts, part)
		}
		o.Listed(time.Now(), w.backend, w.name, parts, confirm)
	})
	return r, err
}

func backendName(i int) string { return []string{"web", "api"}[i] }
