package web

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestSessionsAreBounded in time and number: the oldest is signed out for a newer one.
func TestSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sessions
		var secrets []string
		for range maxSessions + 2 {
			secrets = append(secrets, s.add(session{who: caller{may: full}}, time.Now()))
			time.Sleep(time.Second)
		}
		if len(s.all) != maxSessions || s.find(secrets[0], time.Now()) != nil || s.find(secrets[1], time.Now()) != nil {
			t.Errorf("%d are signed in", len(s.all))
		}
		for _, secret := range secrets[2:] {
			if s.find(secret, time.Now()) == nil {
				t.Error("one is signed out")
			}
		}
		for _, wrong := range []string{"", secrets[2][1:], secrets[2] + "A"} {
			if s.find(wrong, time.Now()) != nil {
				t.Errorf("%q is a session", wrong)
			}
		}
		time.Sleep(sessionFor)
		for _, secret := range secrets {
			if s.find(secret, time.Now()) != nil {
				t.Error("one goes on for ever")
			}
		}
		s.add(session{}, time.Now())
		if len(s.all) != 1 {
			t.Errorf("%d are kept", len(s.all))
		}
	})
}
