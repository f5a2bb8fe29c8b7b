package longpoll

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/discovery"
)

func TestActivityLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l activityLog
		if a, polls, _, _ := l.read(); polls || !cmp.Equal(a, discovery.Activity{}) {
			t.Errorf("before anything: %+v", a)
		}
		begin, next := time.Now(), time.Now().Add(time.Minute)
		l.pollsAt(next)
		if a, polls, _, _ := l.read(); !polls || a.Next != next {
			t.Errorf("polling: %+v %t", a, polls)
		}
		l.asked(false, func() string { return "plainly" })
		if a, polls, _, _ := l.read(); !polls || a.Question != "plainly" || a.Asked != begin || !a.Next.IsZero() {
			t.Errorf("asked: %+v %t", a, polls)
		}
		time.Sleep(time.Second)
		l.answeredBy("unused", discovery.Errorf(discovery.Server, "no\nleader"))
		if a, _, _, _ := l.read(); a.Answer != "server: no.leader" || a.Answered != begin.Add(time.Second) {
			t.Errorf("failed: %+v", a)
		}
		l.asked(true, func() string { return "blocking" })
		l.answeredBy("200", nil)
		if a, polls, _, _ := l.read(); polls || a.Question != "blocking" || a.Answer != "200" {
			t.Errorf("answered: %+v %t", a, polls)
		}
	})
}
