package auth

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
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
			secrets = append(secrets, s.add(session{who: Caller{May: Full}}, time.Now()))
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

// TestSessionIsOfOneUser: who has got hold of the cookie of another user of this machine
// cannot use it.
func TestSessionIsOfOneUser(t *testing.T) {
	g := NewGate(Options{Token: func() string { return "secret" }}, nil)
	if err := g.ListensAt("127.0.0.1:0", true); err != nil {
		t.Fatal(err)
	}
	as := func(uid int, secret string) *http.Request {
		ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9750}))
		if uid >= 0 {
			ctx = WithPeer(ctx, Peer{UID: uid})
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx)
		r.AddCookie(&http.Cookie{Name: "slotsync-9750", Value: secret})
		return r
	}
	n, ok := g.recognize(as(1000, ""), "", "secret")
	if !ok {
		t.Fatal("the token is not known")
	}
	secret := g.sessions.add(n, time.Now())
	for uid, want := range map[int]bool{1000: true, 1001: false, 0: false, -1: false} {
		if got := g.sessionOf(as(uid, secret)) != nil; got != want {
			t.Errorf("user %d: %t", uid, got)
		}
	}
}
