package file

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// A step is what is seen of web.yaml at a time, and what counts then.
type step struct {
	at   time.Duration
	text string // "-": there is no such file; "!": it cannot be read
	want string // the last part of each address; "?": unknown; with ~: partial
	next time.Duration
}

func TestMemory(t *testing.T) {
	tests := []struct {
		name  string
		steps []step
	}{
		{"what is there for long", []step{{0, "1 2", "1 2", 0}, {time.Hour, "1 2", "1 2", 0}}},
		{"what is added counts at once", []step{{0, "1", "1", 0}, {time.Minute, "1 2", "1 2", 0}}},
		{"what goes is believed when it lasts", []step{
			{0, "1 2 3", "1 2 3", 0}, {time.Minute, "1", "1 ~", 250 * time.Millisecond},
			{time.Minute + 249*time.Millisecond, "1", "1 ~", time.Millisecond}, {time.Minute + 250*time.Millisecond, "1", "1", 0},
		}},
		{"what comes while something goes counts at once", []step{
			{0, "1 2", "1 2", 0}, {time.Minute, "2 3", "2 3 ~", 250 * time.Millisecond}, {time.Minute + time.Second, "2 3", "2 3", 0},
		}},
		{"a file that is written in pieces", []step{
			{0, "1 2 3", "1 2 3", 0}, {time.Minute, "", "?", 250 * time.Millisecond}, {time.Minute + 200*time.Millisecond, "1", "1 ~", 250 * time.Millisecond},
			{time.Minute + 400*time.Millisecond, "1 2", "1 2 ~", 250 * time.Millisecond}, {time.Minute + 600*time.Millisecond, "1 2 3 4", "1 2 3 4", 0},
		}},
		{"a file that becomes illegible says nothing", []step{
			{0, "1 2", "1 2", 0}, {time.Minute, "!", "?", 250 * time.Millisecond}, {2 * time.Minute, "!", "?", 0},
			{24 * time.Hour, "!", "?", 0}, {25 * time.Hour, "2", "2 ~", 250 * time.Millisecond}, {26 * time.Hour, "2", "2", 0},
		}},
		{"a file that is illegible and then empty of groups", []step{
			{0, "1", "1", 0}, {time.Minute, "!", "?", 250 * time.Millisecond}, {time.Minute + 100*time.Millisecond, "[]", "~", 250 * time.Millisecond},
			{time.Minute + time.Second, "[]", "", 0},
		}},
		{"a file that was never legible", []step{{0, "!", "?", 0}, {time.Minute, "1", "1 ~", 250 * time.Millisecond}, {2 * time.Minute, "1", "1", 0}}},
		{"a rename that is not atomic", []step{
			{0, "1 2", "1 2", 0}, {time.Minute, "-", "?", 2 * time.Second}, {time.Minute + 1999*time.Millisecond, "-", "?", time.Millisecond},
			{time.Minute + 1999*time.Millisecond, "1 2", "1 2", 0}, {time.Minute + 5*time.Second, "-", "?", 2 * time.Second},
		}},
		{"a file that is removed", []step{{0, "1 2", "1 2", 0}, {time.Minute, "-", "?", 2 * time.Second}, {time.Minute + 2*time.Second, "-", "gone", 0}}},
		{"an illegible file that is removed", []step{{0, "!", "?", 0}, {time.Minute, "-", "?", 2 * time.Second}, {time.Minute + 2*time.Second, "-", "gone", 0}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			begin := time.Now()
			m := memory{}
			for i, s := range test.steps {
				now := begin.Add(s.at)
				m = m.updated(look(s.text, begin), true, now)
				views, next := m.views(now)
				if got := counts(views); got != s.want {
					t.Errorf("step %d: %q counts, want %q", i, got, s.want)
				}
				if due := next.Sub(now); next.IsZero() != (s.next == 0) || s.next != 0 && due != s.next {
					t.Errorf("step %d: to be looked at again after %s, want %s", i, due, s.next)
				}
			}
		})
	}
}

// look is what is seen of a file with that text, which was there long ago at
// first.
func look(text string, begin time.Time) []seenFile {
	if text == "-" {
		return nil
	}
	v := version{sum: sha256.Sum256([]byte(text)), mtime: begin.Add(-time.Hour), items: []item{}}
	for n := range strings.FieldsSeq(strings.Trim(text, "![]")) {
		v.items = append(v.items, labels{service: "web", weight: -1}.item("10.0.0."+n+":80"))
	}
	if text == "!" || text == "" {
		v.items, v.err = nil, errors.New("no")
	}
	return []seenFile{{name: "web.yaml", version: v}}
}

func counts(views []view) string {
	if len(views) == 0 {
		return "gone"
	}
	var out []string
	for _, v := range views {
		if v.state == discovery.Unknown {
			out = append(out, "?")
		}
		for _, i := range v.items {
			out = append(out, fmt.Sprint(i.endpoint.Addr.Addr().As4()[3]))
		}
		slices.Sort(out)
		out = slices.Compact(out)
		if v.state == discovery.Partial {
			out = append(out, "~")
		}
	}
	return strings.Join(out, " ")
}

// A file that is the same does not lose what was known of it, also while it is
// illegible.
func TestMemoryOfTheSame(t *testing.T) {
	begin := time.Now()
	m := memory{}.updated(look("1", begin), true, begin)
	m = m.updated([]seenFile{{name: "web.yaml", unchanged: true, version: m["web.yaml"].version}}, true, begin.Add(time.Minute))
	views, next := m.views(begin.Add(time.Minute))
	if counts(views) != "1" || !next.IsZero() {
		t.Errorf("%q, next %s", counts(views), next)
	}
}

// Where the folder cannot be listed, nobody can tell of a file that is not seen whether
// there is one. It is not gone, however long that lasts.
func TestMemoryOfTheUnseen(t *testing.T) {
	begin := time.Now()
	m := memory{}.updated(look("1 2", begin), true, begin)
	for _, after := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour} {
		m = m.updated(nil, false, begin.Add(after))
		if views, next := m.views(begin.Add(after)); counts(views) != "?" || views[0].mayBeHalfWritten || !next.IsZero() {
			t.Errorf("after %s: %q, next %s", after, counts(views), next)
		}
	}
	now := begin.Add(25 * time.Hour)
	if views, _ := m.updated(look("1 2", begin), true, now).views(now); counts(views) != "1 2" {
		t.Errorf("it is seen again: %q", counts(views))
	}
	gone := m.updated(nil, true, now)
	if views, next := gone.views(now); counts(views) != "?" || !next.Equal(now.Add(grace)) {
		t.Errorf("it is not there: %q, next %s", counts(views), next)
	}
	now = now.Add(grace)
	if views, _ := gone.updated(nil, true, now).views(now); counts(views) != "gone" {
		t.Errorf("and still is not: %q", counts(views))
	}
}
