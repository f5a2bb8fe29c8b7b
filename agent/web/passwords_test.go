package web_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/web/auth"
)

// TestWrongPasswordsAreBounded: who tries passwords without end is refused beyond a few that
// are checked or wait, and another user is answered meanwhile.
func TestWrongPasswordsAreBounded(t *testing.T) {
	const tries, let = 2000, 16
	a := newAuthority(t, "ca")
	o := options(newFake())
	o.Listen, o.Config = "127.0.0.1:0", a.write("web.yml", users)
	s := serve(t, o)
	status(t, a.client(nil, ""), "GET /-/healthy", "http://"+s.Addr()) // the file is asked from the first connection on
	at, err := net.ResolveTCPAddr("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	h := s.Handler(false)
	ask := func(ctx context.Context, uid int, user, password string) int {
		ctx = auth.WithPeer(context.WithValue(ctx, http.LocalAddrContextKey, net.Addr(at)), auth.Peer{UID: uid})
		r, w := httptest.NewRequest(http.MethodGet, "/v1/status", nil).WithContext(ctx), httptest.NewRecorder()
		r.Host = s.Addr()
		r.SetBasicAuth(user, password)
		h.ServeHTTP(w, r)
		return w.Code
	}
	gone, leave := context.WithCancel(t.Context())
	defer leave()
	answers := make(chan int, tries)
	for range tries {
		go func() { answers <- ask(gone, 1, "nobody", "wrong") }() // such a user's takes as long as a good password
	}
	over := time.After(20 * time.Second)
	for n := range tries - let {
		select {
		case <-answers:
		case <-over:
			t.Fatalf("%d of %d wait", tries-n, tries)
		}
	}
	if code := ask(t.Context(), 2, "ann", "secret"); code != http.StatusOK {
		t.Errorf("another user: %d", code)
	}
	leave() // as when their connections are closed
	for range let {
		select {
		case <-answers:
		case <-over:
			t.Fatal("who has gone still waits")
		}
	}
}
