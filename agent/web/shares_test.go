package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"github.com/slotsync/slotsync/agent/web/auth"
)

// as is a request of a user of this machine.
func as(ctx context.Context, uid int, path string) *http.Request {
	return httptest.NewRequest(http.MethodGet, path, nil).WithContext(auth.WithPeer(ctx, auth.Peer{UID: uid}))
}

// TestNeighboursLeaveScrapes: however often one user asks for the metrics, and however many
// users do, Prometheus is answered.
func TestNeighboursLeaveScrapes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const prometheus = 1000
		asked, over := make(chan int, 200), make(chan struct{})
		metrics := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			asked <- auth.PeerOf(r).UID
			<-over
		})
		s, err := New(Options{Agent: newStuck(), Metrics: metrics, Reload: func(context.Context, bool) error { return nil }, Listen: "127.0.0.1:9750"})
		if err != nil {
			t.Fatal(err)
		}
		refused := make(chan int, 200)
		ask := func(ctx context.Context, uid int) {
			w := httptest.NewRecorder()
			if s.metrics(w, as(ctx, uid, "/metrics")); w.Code != http.StatusOK || w.Body.Len() > 0 {
				refused <- w.Code
			}
		}
		gone, leave := context.WithCancel(t.Context())
		for range 40 {
			go ask(gone, 1)
		}
		synctest.Wait()
		if len(asked) != 2 || len(refused) != 24 || <-refused != http.StatusTooManyRequests {
			t.Errorf("%d of one user are answered and %d refused, want 2 and 24", len(asked), len(refused))
		}
		go ask(t.Context(), prometheus)
		synctest.Wait()
		if len(asked) != 3 {
			t.Error("Prometheus waits for others")
		}
		for uid := 2; uid < 9; uid++ {
			go ask(t.Context(), uid)
			go ask(t.Context(), uid)
		}
		synctest.Wait()
		if len(asked) != 8 {
			t.Errorf("%d are answered at a time, want 8", len(asked))
		}
		leave() // who waits goes, and takes no place with him
		synctest.Wait()
		close(over)
		synctest.Wait()
		if len(asked) != 3+14 {
			t.Errorf("%d were answered, want all that still wait", len(asked))
		}
	})
}
