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

// A serverHealth remembers which servers answer. The zero value is ready for use.
type serverHealth struct {
	mu        sync.Mutex // guards following
	preferred string     // answered last
	turn      int        // of the option rotate
	by        map[string]serverState
}

// A serverState is how one server answers. The zero value is that of one that does.
type serverState struct {
	fails        int       // in a row
	lastFailure  time.Time // when the last of them was
	lastAnswer   time.Time // when it last answered
	demotedUntil time.Time // until then it comes last
	noEDNSUntil  time.Time // until then it is asked without EDNS
	noTCPUntil   time.Time // until then it is asked for Consul's names over UDP
}

// order lists servers as they are to be asked: the one that answered last, or
// with rotate another one each time, then those after it. demoted are those that failed
// too often, which come last.
func (r *serverHealth) order(servers []string, rotate bool) (alive, demoted []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := max(0, slices.Index(servers, r.preferred))
	if rotate {
		first = r.turn % len(servers)
		r.turn++
	}
	return r.split(slices.Concat(servers[first:], servers[:first]))
}

// first is the server that is asked next, if servers do not take turns.
func (r *serverHealth) first(servers []string) string {
	alive, demoted := r.order(servers, false)
	return append(alive, demoted...)[0]
}

func (r *serverHealth) others(servers []string, server string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	alive, _ := r.split(servers)
	return slices.DeleteFunc(alive, func(s string) bool { return s == server })
}

func (r *serverHealth) split(servers []string) (alive, demoted []string) {
	now := time.Now()
	for _, s := range servers {
		if now.Before(r.by[s].demotedUntil) {
			demoted = append(demoted, s)
		} else {
			alive = append(alive, s)
		}
	}
	return alive, demoted
}

func (r *serverHealth) change(server string, f func(*serverState)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil || len(r.by) >= maxHealth {
		r.by = map[string]serverState{}
	}
	h := r.by[server]
	f(&h)
	r.by[server] = h
}

func (r *serverHealth) succeeded(server string) {
	r.change(server, func(h *serverState) { h.fails, h.demotedUntil, h.lastAnswer = 0, time.Time{}, time.Now() })
}

// answeredSince says whether any server has answered anything since then.
func (r *serverHealth) answeredSince(then time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.by {
		if h.lastAnswer.After(then) {
			return true
		}
	}
	return false
}

// failed counts a failure of a question that was asked at that time. What was
// asked before the last failure came is one failure with it: a moment of trouble
// hits every query that is under way.
func (r *serverHealth) failed(server string, asked time.Time) {
	r.change(server, func(h *serverState) {
		if asked.Before(h.lastFailure) {
			return
		}
		h.lastFailure = time.Now()
		h.fails++
		if h.fails >= maxFails {
			h.demotedUntil = h.lastFailure.Add(outTime)
		}
	})
}

func (r *serverHealth) prefer(server string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.preferred = server
}

func (r *serverHealth) lacksEDNS(server string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.by[server].noEDNSUntil)
}

func (r *serverHealth) setLacksEDNS(server string) {
	r.change(server, func(h *serverState) { h.noEDNSUntil = time.Now().Add(plainTime) })
}

func (r *serverHealth) lacksTCP(server string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.by[server].noTCPUntil)
}

func (r *serverHealth) setLacksTCP(server string) {
	r.change(server, func(h *serverState) { h.noTCPUntil = time.Now().Add(lacksTime) })
}

// remarks says which servers are treated differently, and why.
func (r *serverHealth) remarks() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	now := time.Now()
	for _, s := range slices.Sorted(maps.Keys(r.by)) {
		h := r.by[s]
		if now.Before(h.demotedUntil) {
			out = append(out, fmt.Sprintf("%s is asked last until %s: %d failures in a row", s, clock(h.demotedUntil), h.fails))
		}
		if now.Before(h.noEDNSUntil) {
			out = append(out, fmt.Sprintf("%s is asked without EDNS until %s", s, clock(h.noEDNSUntil)))
		}
		if now.Before(h.noTCPUntil) {
			out = append(out, fmt.Sprintf("%s does not answer over TCP, and over UDP Consul may cut: open its TCP port, or set tcp: never", s))
		}
	}
	return out
}

func clock(t time.Time) string { return t.Format("15:04:05") }
