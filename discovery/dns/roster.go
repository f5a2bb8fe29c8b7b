package dns

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	maxFails  = 3                // in a row, before a server comes last
	outTime   = 30 * time.Second // in which it does
	plainTime = time.Hour        // how long a server is taken to know no EDNS
	lacksTime = time.Minute      // how long it is taken to answer over UDP alone
	maxHealth = 128              // servers that are remembered
)

// A roster remembers how servers fare. The zero value is ready for use.
type roster struct {
	mu   sync.Mutex // guards following
	good string     // answered last
	turn int        // of the option rotate
	by   map[string]health
}

// A health is how one server fares. The zero value is well.
type health struct {
	fails  int       // in a row
	failed time.Time // the last of them
	well   time.Time // the last success
	out    time.Time // until then it comes last
	plain  time.Time // until then it is asked without EDNS
	lacks  time.Time // until then it is asked for Consul's names over UDP
}

// order lists servers as they are to be asked: the one that answered last, or
// with rotate another one each time, then those after it; those that are out come
// last.
func (r *roster) order(servers []string, rotate bool) (alive, out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := max(0, slices.Index(servers, r.good))
	if rotate {
		first = r.turn % len(servers)
		r.turn++
	}
	return r.split(slices.Concat(servers[first:], servers[:first]))
}

// first is the server that is asked next, but for rotate.
func (r *roster) first(servers []string) string {
	alive, out := r.order(servers, false)
	return append(alive, out...)[0]
}

// others lists those of servers that are alive and are not server.
func (r *roster) others(servers []string, server string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	alive, _ := r.split(servers)
	return slices.DeleteFunc(alive, func(s string) bool { return s == server })
}

func (r *roster) split(servers []string) (alive, out []string) {
	now := time.Now()
	for _, s := range servers {
		if now.Before(r.by[s].out) {
			out = append(out, s)
		} else {
			alive = append(alive, s)
		}
	}
	return alive, out
}

// change sets the health of server to what f makes of it.
func (r *roster) change(server string, f func(*health)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil || len(r.by) >= maxHealth {
		r.by = map[string]health{}
	}
	h := r.by[server]
	f(&h)
	r.by[server] = h
}

func (r *roster) succeeded(server string) {
	r.change(server, func(h *health) { h.fails, h.out, h.well = 0, time.Time{}, time.Now() })
}

// answeredSince says whether any server has answered anything since then.
func (r *roster) answeredSince(then time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.by {
		if h.well.After(then) {
			return true
		}
	}
	return false
}

// failed counts a failure of a question that was asked at that time. What was
// asked before the last failure came is one failure with it: a moment of trouble
// hits everything that is in flight.
func (r *roster) failed(server string, asked time.Time) {
	r.change(server, func(h *health) {
		if asked.Before(h.failed) {
			return
		}
		h.failed = time.Now()
		h.fails++
		if h.fails >= maxFails {
			h.out = h.failed.Add(outTime)
		}
	})
}

// prefer has server asked first from now on.
func (r *roster) prefer(server string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.good = server
}

func (r *roster) isPlain(server string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.by[server].plain)
}

func (r *roster) setPlain(server string) {
	r.change(server, func(h *health) { h.plain = time.Now().Add(plainTime) })
}

func (r *roster) lacksTCP(server string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.by[server].lacks)
}

func (r *roster) setLacksTCP(server string) {
	r.change(server, func(h *health) { h.lacks = time.Now().Add(lacksTime) })
}

// remarks tells what is unusual about servers.
func (r *roster) remarks() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	now := time.Now()
	for _, s := range slices.Sorted(maps.Keys(r.by)) {
		h := r.by[s]
		if now.Before(h.out) {
			out = append(out, fmt.Sprintf("%s is asked last until %s: %d failures in a row", s, clock(h.out), h.fails))
		}
		if now.Before(h.plain) {
			out = append(out, fmt.Sprintf("%s is asked without EDNS until %s", s, clock(h.plain)))
		}
		if now.Before(h.lacks) {
			out = append(out, fmt.Sprintf("%s does not answer over TCP, and over UDP Consul may cut: open its TCP port, or set tcp: never", s))
		}
	}
	return out
}

func clock(t time.Time) string { return t.Format("15:04:05") }
