package event

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent/api"
)

func TestEventIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(time.Now())
		time.Sleep(time.Millisecond)
		b := New(time.Now())
		_, before, _ := a.Read(0)
		_, after, _ := b.Read(0)
		for range 3 {
			a.Add(api.Event{Kind: api.EventNote})
			b.Add(api.Event{Kind: api.EventNote})
		}
		first, second := <-before.C, <-before.C
		if second.ID != first.ID+1 || first.At.IsZero() {
			t.Errorf("%+v, then %+v", first, second)
		}
		if next := <-after.C; next.ID <= first.ID+maxKept {
			t.Errorf("a process that began later numbers from %d on, the one before from %d on", next.ID, first.ID)
		}
		before.Close()
		before.Close()
		after.Close()
	})
}

func TestEventsSince(t *testing.T) {
	l := New(time.Now())
	begin := l.last
	read := func(after uint64) string {
		past, r, err := l.Read(after)
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		if len(past) == 0 {
			return "none"
		}
		kinds := fmt.Sprint(len(past), " from ", int64(past[0].ID-begin))
		if past[0].Kind == api.EventGap {
			kinds = "gap, " + kinds
		}
		return kinds
	}
	tests := []struct {
		added int
		after uint64
		want  string
	}{
		{0, 0, "none"}, {0, begin, "none"}, {0, 1, "gap, 1 from 0"}, {0, begin + 1, "gap, 1 from 0"},
		{3, 0, "none"}, {0, begin, "3 from 1"}, {0, begin + 2, "1 from 3"}, {0, begin + 3, "none"},
		{0, begin + 4, "gap, 4 from 0"}, {0, begin - 1, "gap, 4 from 0"},
		{maxKept, begin + 3, "1000 from 4"}, {0, begin + 2, "gap, 1001 from 3"}, {0, begin + 1003, "none"},
	}
	for _, tt := range tests {
		for range tt.added {
			l.Add(api.Event{Kind: api.EventNote})
		}
		if got := read(tt.after); got != tt.want {
			t.Errorf("after %d: %s, want %s", int64(tt.after-begin), got, tt.want)
		}
	}
}

func TestSlowReaderIsDropped(t *testing.T) {
	l := New(time.Now())
	_, slow, _ := l.Read(0)
	_, quick, _ := l.Read(0)
	defer quick.Close()
	for range maxUnread + 1 {
		l.Add(api.Event{Kind: api.EventNote})
		<-quick.C
	}
	n := 0
	for range slow.C {
		n++
	}
	if n != maxUnread || len(l.readers) != 1 {
		t.Errorf("it was told of %d, and %d readers are left", n, len(l.readers))
	}
	slow.Close()
}

func TestReadersAreBounded(t *testing.T) {
	l := New(time.Now())
	var all []*Reader
	for range maxReaders {
		_, r, err := l.Read(0)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	if _, _, err := l.Read(0); !errors.Is(err, api.ErrManyReaders) {
		t.Errorf("one more: %v", err)
	}
	all[0].Close()
	if _, _, err := l.Read(0); err != nil {
		t.Errorf("after one has left: %v", err)
	}
}

func TestEventTextsCanBePrinted(t *testing.T) {
	l := New(time.Now())
	_, r, _ := l.Read(0)
	defer r.Close()
	l.Add(api.Event{Kind: api.EventNote, Text: "a\x1b[2J\r\nid: 7\n\ndata: x", Slot: strings.Repeat("x", 2000), Source: "\u202e",
		Slots: slices.Repeat([]string{"\n"}, 100), Fields: map[string]string{"a": "\n", "b": ""}})
	e := <-r.C
	if strings.ContainsAny(e.Text+e.Source+strings.Join(e.Slots, ""), "\x1b\r\n\u202e") || len(e.Slot) > 600 || len(e.Slots) != MaxSlots {
		t.Errorf("%+v", e)
	}
	if diff := cmp.Diff(map[string]string{"a": "."}, e.Fields); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
