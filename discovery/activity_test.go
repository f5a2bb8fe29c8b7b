package discovery_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/discovery"
)

func TestActivityOf(t *testing.T) {
	if got := discovery.ActivityOf(discovery.Static(nil)); !cmp.Equal(got, discovery.Activity{}) {
		t.Errorf("one that does not tell: %+v", got)
	}
	want := discovery.Activity{Question: "GET /", Asked: time.Unix(1, 0)}
	if got := discovery.ActivityOf(&member{activity: want}); !cmp.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestActivityAsJSON(t *testing.T) {
	at := time.Date(2030, 11, 21, 10, 0, 0, 0, time.UTC)
	tests := []struct {
		activity discovery.Activity
		want     string
	}{
		{discovery.Activity{}, `{}`},
		{discovery.Activity{Question: "SRV a. of 127.0.0.1:53", Asked: at, Answer: "NOERROR", Answered: at, Next: at, Remarks: []string{"partial"}},
			`{"question":"SRV a. of 127.0.0.1:53","asked":"2030-11-21T10:00:00Z","answer":"NOERROR","answered":"2030-11-21T10:00:00Z","next":"2030-11-21T10:00:00Z","remarks":["partial"]}`},
	}
	for _, test := range tests {
		raw, err := json.Marshal(test.activity)
		if err != nil || string(raw) != test.want {
			t.Errorf("%s, %v\nwant %s", raw, err, test.want)
		}
		var back discovery.Activity
		if err := json.Unmarshal(raw, &back); err != nil || !cmp.Equal(back, test.activity) {
			t.Errorf("back: %+v, %v", back, err)
		}
	}
}

func TestDiary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d discovery.Diary
		if a, polls := d.Read(); polls || !cmp.Equal(a, discovery.Activity{}) {
			t.Errorf("before anything: %+v", a)
		}
		begin, next := time.Now(), time.Now().Add(time.Minute)
		d.Polls(next)
		if a, polls := d.Read(); !polls || a.Next != next {
			t.Errorf("polling: %+v %t", a, polls)
		}
		d.Asked(false, func() string { return "plainly" })
		if a, polls := d.Read(); !polls || a.Question != "plainly" || a.Asked != begin || !a.Next.IsZero() {
			t.Errorf("asked: %+v %t", a, polls)
		}
		time.Sleep(time.Second)
		d.Answered("unused", discovery.Errorf(discovery.Server, "no\nleader"))
		if a, _ := d.Read(); a.Answer != "server: no.leader" || a.Answered != begin.Add(time.Second) {
			t.Errorf("failed: %+v", a)
		}
		d.Asked(true, func() string { return "blocking" })
		d.Answered("200", nil)
		if a, polls := d.Read(); polls || a.Question != "blocking" || a.Answer != "200" {
			t.Errorf("answered: %+v %t", a, polls)
		}
	})
}
