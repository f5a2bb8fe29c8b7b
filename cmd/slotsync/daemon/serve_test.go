package daemon

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
)

// Who asks for a reload, or for findings, while another reload does not end gives up with his
// request.
func TestReloadGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{lock: semaphore.NewWeighted(1), doctor: func(context.Context, *config.Config, Wiring) []api.Finding { return nil }}
		if err := s.lock.Acquire(t.Context(), 1); err != nil { // as one that reads a dead mount
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.examine(ctx)
		for _, err := range []error{err, s.reload(ctx, false)} {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
		}
	})
}

// An end that was asked for is fine, even where a slow disk holds up a part of it.
func TestEnd(t *testing.T) {
	failed := errors.New("the listener is gone")
	for _, tt := range []struct {
		name  string
		asked bool
		ended error // of the parts; nil and never: they do not end
		never bool
		want  error
	}{
		{"asked for", true, context.Canceled, false, nil},
		{"asked for, on a slow disk", true, nil, true, nil},
		{"asked for, and a failure", true, failed, false, failed},
		{"a part fails", false, failed, false, failed},
		{"a part fails, on a slow disk", false, nil, true, failed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.asked {
					cancel()
				}
				ended := make(chan error, 1)
				if !tt.never {
					ended <- tt.ended
				}
				began := time.Now()
				var log strings.Builder
				s := &service{log: slog.New(slog.NewTextHandler(&log, nil))}
				var under sync.Map
				for _, name := range []string{"the web server", "the agent", "systemd's status"} {
					under.Store(name, nil)
				}
				under.Delete("the agent")
				if err := s.end(ctx, failed, ended, &under); err != tt.want {
					t.Errorf("%v, want %v", err, tt.want)
				}
				if strings.Contains(log.String(), `HAProxy is unaffected" under_way="systemd's status, the web server"`) != tt.never {
					t.Errorf("it says %s", &log)
				}
				if took := time.Since(began); took > stopTime {
					t.Errorf("it takes %s", took)
				}
			})
		})
	}
}
