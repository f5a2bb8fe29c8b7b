package agent

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// freshProcess restarts the fake when its sessions are asked for.
type freshProcess struct {
	*fakeConn
	armed bool
}

func (r *freshProcess) View(ctx context.Context, backends []string, sessions bool) (slots.View, error) {
	if sessions && r.armed {
		r.armed = false
		r.restart(false)
	}
	return r.fakeConn.View(ctx, backends, sessions)
}

func TestRestartInTheMiddleOfAComparisonIsNoticedByAllBackends(t *testing.T) {
	a := newFake("a", "web", 1)
	a.addBackend("api", 2)
	conn := &freshProcess{fakeConn: a}
	inWorld(t, func(w *world) {
		w.opts.Instances[0].Conn = conn
		w.source.reading = discovery.Complete(eps(80)...)
		w.opts.Backends = append(w.opts.Backends, Backend{Name: "api", Proxy: "api", Prefix: "web", Feeds: []Feed{{Name: "test", Source: newSource(90), Key: "x"}}})
		w.start()
		w.pass(5 * time.Second)
		conn.armed = true
		w.source.list(81) // the slot has to be empty first
		w.pass(2 * time.Second)
		if conn.armed {
			w.t.Fatal("no sessions were read")
		}
		w.want(a, "web1=:81")
		if got := showServers(a.servers["api"]); got != "web1=:90" {
			w.t.Errorf("api: %q", got)
		}
	}, a)
}

// ahead has what is stored be of five hours later than it is.
func (w *world) ahead() {
	w.t.Helper()
	for _, name := range []string{stateFile, operatorsFile} {
		path := filepath.Join(w.opts.StateDir, name)
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(path, bytes.ReplaceAll(text, []byte("2000-01-01T00:"), []byte("2000-01-01T05:")), 0o600)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestClockWasAhead: what somebody took out of service while the clock was ahead can be
// given back by an operator.
func TestClockWasAhead(t *testing.T) {
	a := newFake("a", "web", 4)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(10 * time.Second)
		a.set("web1", func(s *slots.Server) { s.Class = slots.Maint })
		w.pass(2 * DefaultResync)
		w.want(a, "web2=:81")
		w.stop()
		w.ahead()
		w.start()
		w.pass(time.Second)
		w.want(a, "web2=:81")
		w.state("web1", api.StateReady, api.Who{})
		w.pass(time.Second)
		w.want(a, "web1=:80 web2=:81")
	}, a)
}
