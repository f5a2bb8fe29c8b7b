package agent

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/reload"
)

// fakeReload reloads fakes: they come back with the slots that were rendered,
// filled from the state file.
type fakeReload struct {
	mu      sync.Mutex
	conns   []*fakeConn
	command bool // nothing is rendered
	stuck   bool // the template ignores how many slots there should be
	err     error
	tag     string
	byHand  bool
	runs    []reload.Request
	recover chan struct{} // Recover waits for it; nil: it does not
	busy    int           // so many times Recover finds somebody else at work
}

func (f *fakeReload) Renders() bool { return !f.command }

// ran returns what was asked of it.
func (f *fakeReload) ran() []reload.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.runs)
}

func (f *fakeReload) with(do func()) { f.mu.Lock(); defer f.mu.Unlock(); do() }

func (f *fakeReload) Run(_ context.Context, r reload.Request) (reload.Result, error) {
	time.Sleep(100 * time.Millisecond)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs = append(f.runs, r)
	if f.err != nil {
		return reload.Result{Reason: r.Reason, Step: reload.StepCheck}, f.err
	}
	for _, c := range f.conns {
		n := 0
		c.with(func() { n = len(c.servers["web"]) })
		if len(r.Data.Backends) > 0 && !f.stuck && !f.command {
			n = r.Data.Backends[0].Slots
		}
		c.grow(n)
	}
	return reload.Result{Reason: r.Reason, Step: reload.StepWorker, Version: "v", Changed: true}, nil
}

// grow restarts the fake with n slots of the template, from its state file.
func (f *fakeConn) grow(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.process.Pid++
	saved := f.saved["web"]
	f.addBackend("web", n)
	for i := range f.servers["web"] {
		s := &f.servers["web"][i]
		if j := slices.IndexFunc(saved, func(old slots.Server) bool { return old.Name == s.Name }); j >= 0 {
			s.Addr, s.Class, s.Weight = saved[j].Addr, saved[j].Class, saved[j].Weight
		}
	}
}

func (f *fakeReload) Files() reload.Files {
	f.mu.Lock()
	defer f.mu.Unlock()
	return reload.Files{Tag: f.tag, ByHand: f.byHand}
}

func (f *fakeReload) Show() ([]byte, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return []byte("global\n"), f.tag, nil
}

func (f *fakeReload) Recover(ctx context.Context) (reload.Result, bool, error) {
	busy := false
	f.with(func() { busy = f.busy > 0; f.busy-- })
	if busy {
		return reload.Result{}, false, reload.ErrBusy
	}
	if f.recover == nil {
		return reload.Result{}, false, nil
	}
	select {
	case <-f.recover:
	case <-ctx.Done():
	}
	return reload.Result{}, true, nil
}

func (f *fakeReload) Check(context.Context, reload.Data) (string, error) { return "fine", f.err }

func (f *fakeReload) Versions() ([]reload.Version, error) { return []reload.Version{{ID: "v"}}, nil }

func (f *fakeReload) Version(id string) (reload.Version, []byte, error) {
	if id != "v" {
		return reload.Version{}, nil, slots.ErrNoVersion
	}
	return reload.Version{ID: id}, []byte("old\n"), nil
}

func (f *fakeReload) Diff(from, to string) (string, error) {
	for _, id := range []string{from, to} {
		if _, _, err := f.Version(id); id != "" && err != nil {
			return "", err
		}
	}
	return "-old\n+global\n", nil
}

func (f *fakeReload) Restore(_ context.Context, id, by string) (reload.Result, error) {
	f.with(func() { f.runs = append(f.runs, reload.Request{Reason: "restore " + id, By: by}) })
	return reload.Result{Version: id, Step: reload.StepWorker}, f.err
}

func (f *fakeReload) Sections() ([]reload.Section, string, error) {
	return []reload.Section{{ConfigSection: slots.ConfigSection{Type: "global", Line: 1}}}, f.tag, nil
}

func (f *fakeReload) Section(typ, name string) ([]byte, string, error) {
	if typ != "global" || name != "" {
		return nil, "", slots.ErrNoSection
	}
	return []byte("global\n"), f.tag, nil
}

func (f *fakeReload) Preview(e reload.Edit) (string, error) {
	if e.ETag != "" && e.ETag != f.tag {
		return "", slots.ErrConfigChanged
	}
	return "-global\n+" + string(e.Body), nil
}

func (f *fakeReload) Edit(_ context.Context, e reload.Edit) (reload.Result, error) {
	f.with(func() {
		f.runs = append(f.runs, reload.Request{Reason: "edit " + e.Type, By: e.By, Data: e.Data, Force: e.Force})
	})
	return reload.Result{Version: "v", Step: reload.StepWorker}, f.err
}

// managed is a world whose HAProxys, of 4 slots each, are reloaded by f.
func managed(t *testing.T, f *fakeReload, body func(w *world)) {
	t.Helper()
	a, b := newFake("a", "web", 4), newFake("b", "web", 4)
	f.conns, f.tag = []*fakeConn{a, b}, "1"
	inWorld(t, func(w *world) {
		w.opts.Poll = 10 * time.Second // days have to pass
		w.opts.Reloads = []Reload{{Name: "haproxy", Instances: []string{"a", "b"}, Transaction: f, MinInterval: 30 * time.Second, MaxPerHour: 10}}
		w.source.reading = discovery.Complete(eps(span(80, 83)...)...)
		body(w)
	}, a, b)
}

func (w *world) need() *api.NeedReload { return w.status().Backends[0].NeedReload }
