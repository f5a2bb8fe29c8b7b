package placement

import "time"

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
