package remote

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
)

// TestWatchShowsAChangeAtOnce: an event has the status shown again, sooner than by
// the second, and more events together only once.
func TestWatchShowsAChangeAtOnce(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	listens, changed := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/status" {
			fmt.Fprintln(w, `{"schema":1}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		close(listens)
		<-changed
		for id := range 50 {
			fmt.Fprintf(w, "id: %d\nevent: note\ndata: {\"id\":\"%d\"}\n\n", id, id)
		}
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	defer stop()
	c, err := client.New(server.URL, client.Access{})
	if err != nil {
		t.Fatal(err)
	}
	var last time.Time
	var shown atomic.Int64
	soon := false
	err = Watch(ctx, c, func(api.Status, error) error {
		if n := shown.Add(1); n == 1 {
			<-listens
			close(changed)
		} else if n > 1 {
			soon = soon || time.Since(last) < watchPace*9/10
		}
		if last = time.Now(); shown.Load() == 4 {
			stop()
		}
		return nil
	})
	if err != nil || !soon {
		t.Errorf("sooner than by the second: %t, %v", soon, err)
	}
}
