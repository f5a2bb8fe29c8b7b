package dns

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

// A world is some servers, each with records and trouble of its own, in virtual time.
type world struct {
	mu      sync.Mutex // guards following
	servers map[string]*origin
	asked   []string                               // "network server TYPE name", in order
	replied func(server, what string, m *wire.Msg) // sees each reply
}

// An origin is one server. What it has no record of does not exist.
type origin struct {
	records map[string][]string // data by "TYPE name"
	extra   map[string][]string // whole records that come along, by "TYPE name"
	trouble map[string]string   // by "TYPE name", "name", "TYPE", "tcp", "udp" or "": silent, closed, or the name of a code
}

func newWorld(servers ...string) *world {
	w := &world{servers: map[string]*origin{}}
	for _, s := range servers {
		w.servers[s] = &origin{records: map[string][]string{}, extra: map[string][]string{}, trouble: map[string]string{}}
	}
	return w
}

// change does f while nobody asks.
func (w *world) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// put gives every one of servers data for what.
func (w *world) put(what string, data []string, servers ...string) {
	w.change(func() {
		for _, s := range servers {
			if data == nil {
				delete(w.servers[s].records, what)
			} else {
				w.servers[s].records[what] = data
			}
		}
	})
}

// fail has server be in trouble about what; "" ends that.
func (w *world) fail(server, what, trouble string) {
	w.change(func() {
		if trouble == "" {
			delete(w.servers[server].trouble, what)
		} else {
			w.servers[server].trouble[what] = trouble
		}
	})
}

// count returns how many questions begin so, and forgets all.
func (w *world) count(prefix string) (n int) {
	w.change(func() {
		for _, a := range w.asked {
			if strings.HasPrefix(a, prefix) {
				n++
			}
		}
		w.asked = nil
	})
	return n
}

func (w *world) exchange(ctx context.Context, network, server string, q *wire.Msg) (*wire.Msg, error) {
	m, err := w.reply(network, server, q)
	if m != nil && w.replied != nil {
		w.change(func() { w.replied(server, w.what(q), m) })
	}
	if m == nil && err == nil {
		return nil, never(ctx, server)
	}
	return m, err
}

func (w *world) what(q *wire.Msg) string {
	return wire.TypeToString[q.Question[0].Qtype] + " " + strings.TrimSuffix(q.Question[0].Name, ".")
}

func (w *world) reply(network, server string, q *wire.Msg) (*wire.Msg, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	what := w.what(q)
	kind, name, _ := strings.Cut(what, " ")
	w.asked = append(w.asked, network+" "+server+" "+what)
	o, ok := w.servers[server]
	if !ok {
		return nil, nil
	}
	for _, about := range []string{what, name, kind, network, ""} {
		switch trouble := o.trouble[about]; trouble {
		case "":
			continue
		case "silent":
			return nil, nil
		case "closed":
			return nil, transportError(server, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED})
		case "bare NODATA":
			return answer(q), nil
		case "NODATA":
			return o.none(q, wire.RcodeSuccess), nil
		default:
			return o.none(q, wire.StringToRcode[trouble]), nil
		}
	}
	m := answer(q)
	for _, data := range o.records[what] {
		m.Answer = append(m.Answer, mustRR(fmt.Sprintf("%s. 5 IN %s %s", name, kind, data)))
	}
	if alias := o.records["CNAME "+name]; alias != nil {
		m.Answer = append(m.Answer, mustRR(fmt.Sprintf("%s. 5 IN CNAME %s", name, alias[0])))
	}
	for _, rr := range o.extra[what] {
		m.Extra = append(m.Extra, mustRR(rr))
	}
	switch {
	case len(m.Answer) > 0:
		return m, nil
	case slices.ContainsFunc(slices.Collect(maps.Keys(o.records)), func(k string) bool { return strings.HasSuffix(k, " "+name) }):
		return o.none(q, wire.RcodeSuccess), nil
	}
	return o.none(q, wire.RcodeNameError), nil
}

func (o *origin) none(q *wire.Msg, rcode int) *wire.Msg {
	m := new(wire.Msg).SetRcode(q, rcode)
	if rcode == wire.RcodeSuccess || rcode == wire.RcodeNameError {
		m.Ns = []wire.RR{mustRR("test. 5 IN SOA ns.test. x.test. 1 1 1 1 5")}
	}
	return m
}

// source is one of this world, which asks these servers in order.
func (w *world) source(t testing.TB, q Query, servers ...string) *Source {
	t.Helper()
	s := newSource(t, Options{Servers: servers}, q)
	s.client.exchange = w.exchange
	s.placed = true
	return s
}

// restarted is s in another process.
func restarted(t testing.TB, w *world, s *Source, q Query) *Source {
	t.Helper()
	fresh := newSource(t, s.client.options, q)
	fresh.client.exchange = w.exchange
	fresh.placed = true
	discovery.Remind(fresh, discovery.MemoryOf(s))
	return fresh
}
