package agent

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/store"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/securedir"
	"github.com/slotsync/slotsync/slots"
)

// crash has the agent start anew with what was on the disk at this moment: what it
// stores when it ends is thrown away.
func (w *world) crash() {
	w.t.Helper()
	type file struct {
		text []byte
		at   time.Time // by which the agent tells which of two files is the younger
	}
	kept := map[string]file{}
	entries, err := os.ReadDir(w.opts.StateDir)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue // half written, and renamed at any moment
		}
		text, err := os.ReadFile(filepath.Join(w.opts.StateDir, e.Name()))
		if err != nil {
			w.t.Fatal(err)
		}
		info, err := e.Info()
		if err != nil {
			w.t.Fatal(err)
		}
		kept[e.Name()] = file{text, info.ModTime()}
	}
	w.stop()
	w.opts.StateDir = stateDir(w.t)
	for name, f := range kept {
		path := filepath.Join(w.opts.StateDir, name)
		if err := errors.Join(os.WriteFile(path, f.text, 0o600), os.Chtimes(path, f.at, f.at)); err != nil {
			w.t.Fatal(err)
		}
	}
}

func TestAcknowledgedIsDurable(t *testing.T) {
	tests := []struct {
		name string
		do   func(*world) error
		want string // at the HAProxy after the crash
	}{
		{"drain", func(w *world) error {
			_, err := w.agent.SetState(w.t.Context(), "web", "web1", api.StateDrain, api.Who{})
			return err
		}, "web1=:80/drain web2=:81"},
		{"an address stopped", func(w *world) error {
			_, err := w.agent.SetAddressState(w.t.Context(), addr(80).Addr(), api.StateMaint, api.Who{})
			return err
		}, ""},
		{"an endpoint added", func(w *world) error {
			_, err := w.agent.AddServer(w.t.Context(), "web", addr(90), "", "", api.Who{})
			return err
		}, "web1=:80 web2=:81 web3=:90"},
		{"a pause", func(w *world) error { _, err := w.agent.Pause(w.t.Context(), "web", true, api.Who{}); return err }, ""},
		{"a hold accepted", func(w *world) error {
			w.source.list()
			w.settle()
			return w.accept("web")
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newFake("a", "web", 5)
			inWorld(t, func(w *world) {
				w.source.reading = discovery.Complete(eps(80, 81)...)
				w.start()
				w.pass(10 * time.Second) // the state is written, and would not be again for a while
				if err := tt.do(w); err != nil {
					w.t.Fatal(err)
				}
				w.crash()
				a.restart(false)
				w.source = newMute()
				w.opts.Backends[0].Feeds[0].Source = w.source
				w.start()
				w.pass(2 * time.Second)
				w.want(a, tt.want)
			}, a)
		})
	}
}

// TestAcknowledgedIsDurableInTheState: so is what stands in the large file alone.
func TestAcknowledgedIsDurableInTheState(t *testing.T) {
	tests := []struct {
		name   string
		before func(*world, *fakeConn)
		do     func(*world) error
	}{
		{"a slot started that somebody took", func(w *world, a *fakeConn) {
			a.set("web2", func(s *slots.Server) { s.Class = slots.Maint })
			w.pass(time.Minute)
			w.want(a, "web1=:80")
			a.with(func() { a.hang = make(chan struct{}) })
			w.pass(time.Second)
		}, func(w *world) error {
			_, err := w.agent.SetState(w.t.Context(), "web", "web2", api.StateReady, api.Who{})
			return err
		}},
		{"an endpoint removed that was added just before", func(w *world, a *fakeConn) {
			if _, err := w.agent.AddServer(w.t.Context(), "web", addr(90), "", "", api.Who{}); err != nil {
				w.t.Fatal(err)
			}
			w.settle()
			w.want(a, "web1=:80 web2=:81 web3=:90")
			a.with(func() { a.hang = make(chan struct{}) })
		}, func(w *world) error {
			_, err := w.agent.RemoveServer(w.t.Context(), "web", addr(90).String())
			return err
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newFake("a", "web", 5)
			inWorld(t, func(w *world) {
				w.source.reading = discovery.Complete(eps(80, 81)...)
				w.start()
				w.pass(10 * time.Second)
				tt.before(w, a)
				if err := tt.do(w); err != nil {
					w.t.Fatal(err)
				}
				w.crash()
				w.source = newSource(80, 81)
				w.opts.Backends[0].Feeds[0].Source = w.source
				w.start()
				w.pass(10 * time.Second)
				w.want(a, "web1=:80 web2=:81")
			}, a)
		})
	}
}

// TestAcknowledgedAfterTheClockWasAhead: what is asked for now counts more than what is dated
// later.
func TestAcknowledgedAfterTheClockWasAhead(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.state("web2", api.StateDrain, api.Who{})
		w.pass(10 * time.Second)
		w.stop()
		w.ahead()
		w.start()
		w.pass(10 * time.Second)
		w.state("web1", api.StateDrain, api.Who{})
		w.crash()
		w.start()
		w.pass(2 * time.Second)
		w.want(a, "web1=:80/drain web2=:81/drain")
	}, a)
}

// What cannot be stored is done nevertheless, said, and stored as soon as it can be.
func TestNotStoredIsSaid(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(10 * time.Second)
		blocked := filepath.Join(w.opts.StateDir, operatorsFile)
		if err := os.MkdirAll(filepath.Join(blocked, "x"), 0o700); err != nil { // no file can take its place
			w.t.Fatal(err)
		}
		ref, err := w.agent.SetState(w.t.Context(), "web", "web1", api.StateDrain, api.Who{})
		if !errors.Is(err, api.ErrNotStored) || ref.Slot != "web1" {
			w.t.Fatalf("%+v, %v", ref, err)
		}
		w.settle()
		w.want(a, "web1=:80/drain web2=:81")
		if err := os.RemoveAll(blocked); err != nil {
			w.t.Fatal(err)
		}
		w.pass(retryStore + time.Second)
		text, err := os.ReadFile(blocked)
		var o operatorsState
		if err == nil {
			err = json.Unmarshal(text, &o)
		}
		if err != nil || len(o.Overrides) != 1 {
			w.t.Errorf("%s, %v", text, err)
		}
	}, a)
}

// A state directory that is not wanted keeps nobody waiting and is no fault.
func TestNothingIsKeptIfThatIsWanted(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.opts.StateDir = ""
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		if _, err := w.agent.SetState(w.t.Context(), "web", "web1", api.StateDrain, api.Who{}); err != nil {
			w.t.Error(err)
		}
	}, a)
}

// The release before this one knows only the large file: what it changed there counts.
func TestOperatorsOverARollBack(t *testing.T) {
	dir := t.TempDir()
	now := time.Now().Round(0)
	write := func(name string, v any) {
		t.Helper()
		if failed, err := writeFile(dir, name, v); err != nil || failed > 0 {
			t.Fatal(err)
		}
	}
	drained := func(address string) []api.Override {
		return []api.Override{{Backend: "web", Address: address, Kind: api.OverrideState, State: api.StateDrain, Listed: now}}
	}
	load := func(want string) {
		t.Helper()
		s, err := loadState(securedir.Policy{}, dir, (*store.Dir).ReadOrSetAside)
		if err != nil || len(s.Overrides) != 1 || s.Overrides[0].Address != want {
			t.Errorf("%+v, %v; want %s", s.Overrides, err, want)
		}
	}
	write(stateFile, stored{Version: stateVersion, OperatorsAt: &now, Overrides: drained("127.0.0.9:80")})
	load("127.0.0.9:80")
	write(operatorsFile, operatorsState{Version: operatorsVersion, At: now.Add(time.Second), Overrides: drained("127.0.0.9:81")})
	load("127.0.0.9:81") // the agent was killed before it wrote the state

	write(stateFile, stored{Version: stateVersion, Overrides: drained("127.0.0.9:82")}) // by the release before
	if err := os.Chtimes(filepath.Join(dir, operatorsFile), now.Add(-time.Hour), now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	load("127.0.0.9:82")

	later := now.Add(time.Hour) // the small file could not be written
	write(stateFile, stored{Version: stateVersion, OperatorsAt: &later, Overrides: drained("127.0.0.9:83")})
	load("127.0.0.9:83")

	// The first wish ever was acknowledged while a state from before it was on its way.
	write(stateFile, (&core{}).snapshot(now))
	if err := os.Chtimes(filepath.Join(dir, operatorsFile), now.Add(-time.Hour), now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	load("127.0.0.9:81")
}

func TestStateThatCouldNotBeStoredIsTriedAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.pass(10 * time.Second)
		path := filepath.Join(w.opts.StateDir, stateFile)
		if err := errors.Join(os.Remove(path), os.MkdirAll(filepath.Join(path, "x"), 0o700)); err != nil {
			w.t.Fatal(err)
		}
		w.source.list(81)
		w.pass(2 * time.Second)
		if err := os.RemoveAll(path); err != nil {
			w.t.Fatal(err)
		}
		w.pass(retryStore + time.Second)
		text, err := os.ReadFile(path)
		s, wrong := decodeState(text)
		if err := errors.Join(err, wrong); err != nil || len(s.Backends) != 1 || len(s.Backends[0].Endpoints) != 1 {
			w.t.Errorf("%v: %s", err, text)
		}
	}, newFake("a", "web", 5))
}

// Who waits for a disk that hangs is told when their time is over; nobody else waits.
func TestDiskThatHangs(t *testing.T) {
	a := newFake("a", "web", 5)
	inWorld(t, func(w *world) {
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		w.agent.operators = store.NewFile(securedir.Policy{}, w.opts.StateDir, operatorsFile, func(error) {}, func() {}) // nobody writes
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		if _, err := w.agent.SetState(ctx, "web", "web1", api.StateDrain, api.Who{}); !errors.Is(err, api.ErrNotStored) || !errors.Is(err, context.DeadlineExceeded) {
			w.t.Error(err)
		}
		w.want(a, "web1=:80/drain web2=:81")
	}, a)
}
