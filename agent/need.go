package agent

import (
	"slices"
	"time"
)

const (
	// needQuiet is how long a need must not have grown before it is acted on,
	// needMost how long it is waited for at most.
	needQuiet, needMost = 2 * time.Second, 10 * time.Second
	// budgetWindow is the time over which reloads are counted.
	budgetWindow = time.Hour
)

// A need is what a backend lacks that a reload would give it.
type need struct {
	slots  int // that it has
	wanted int // endpoints that should have one
	since  time.Time
	grown  time.Time
}

// A cause is worth one reload: a second one for the same would change nothing.
type cause struct {
	Backend string `json:"backend"`
	Slots   int    `json:"slots"` // of the configuration that runs
	File    string `json:"file"`  // the state of the file
}

// A latch is a cause that was acted on, and what came of it.
type latch struct {
	Cause cause     `json:"cause"`
	At    time.Time `json:"at"`
	Why   string    `json:"why"`
}

// A budget bounds how often HAProxy is reloaded without anybody asking.
type budget struct {
	least   time.Duration // between two reloads; 0: none
	perHour int           // 0: no bound
}

// needs are what the backends of one reload lack.
type needs map[string]need

// observe notes how many slots a backend has and how many it should.
func (n needs) observe(backend string, slots, wanted int, lacks bool, now time.Time) {
	was, known := n[backend]
	switch {
	case !lacks:
		delete(n, backend)
	case !known || was.slots != slots:
		n[backend] = need{slots, wanted, now, now}
	case wanted > was.wanted:
		was.wanted, was.grown = wanted, now
		n[backend] = was
	}
}

// settled is when the needs of these backends are acted on: once none has grown
// for a while.
func (n needs) settled(backends []string) time.Time {
	var first, last time.Time
	for _, b := range backends {
		first = earlier(first, n[b].since)
		if n[b].grown.After(last) {
			last = n[b].grown
		}
	}
	return earlier(last.Add(needQuiet), first.Add(needMost))
}

// next is when the budget allows a reload, after those at the given times,
// oldest first.
func (b budget) next(done []time.Time) time.Time {
	if len(done) == 0 {
		return time.Time{}
	}
	at := done[len(done)-1].Add(b.least)
	if b.perHour > 0 && len(done) >= b.perHour {
		if full := done[len(done)-b.perHour].Add(budgetWindow); full.After(at) {
			at = full
		}
	}
	return at
}

// recent returns the times that still count. One that is to come was noted while the
// clock was ahead, and would keep HAProxy from being reloaded until then.
func recent(done []time.Time, now time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(done), func(t time.Time) bool { return now.Sub(t) >= budgetWindow || t.After(now) })
}

// grow is how many slots a backend gets that has so many and needs so many: to
// tens, never fewer than it has, never more than most.
func grow(have, wanted, most int) int {
	n := max(2*have, (3*wanted+1)/2)
	n = (n + 9) / 10 * 10
	return max(have, min(n, most))
}

// A trend is how the number of endpoints of a backend has grown lately.
type trend struct {
	at     time.Time // when the window began
	counts []int     // one a minute, oldest first
}

const trendMinutes = 60

// observe notes the number of now.
func (t *trend) observe(n int, now time.Time) {
	if t.at.IsZero() || now.Sub(t.at) >= 2*trendMinutes*time.Minute {
		t.at, t.counts = now, []int{n}
		return
	}
	for last := len(t.counts) - 1; now.Sub(t.at) >= time.Duration(len(t.counts))*time.Minute; {
		t.counts = append(t.counts, t.counts[last])
	}
	t.counts[len(t.counts)-1] = n
	if extra := len(t.counts) - trendMinutes; extra > 0 {
		t.counts = t.counts[extra:]
		t.at = t.at.Add(time.Duration(extra) * time.Minute)
	}
}

// perHour is by how many it has grown in the last hour; what shrinks grows by 0.
func (t *trend) perHour() int {
	if len(t.counts) == 0 {
		return 0
	}
	return max(t.counts[len(t.counts)-1]-t.counts[0], 0)
}

// fullIn is how long free slots last if each hour is as the last one was, as far as that
// was seen: what came within a minute of the start is no pace. 0 if it does not grow.
func (t *trend) fullIn(free int) time.Duration {
	pace := t.perHour()
	if pace == 0 {
		return 0
	}
	return time.Hour * time.Duration(free) / time.Duration(pace)
}
