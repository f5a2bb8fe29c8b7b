package web_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os/user"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/event"
	"github.com/slotsync/slotsync/agent/web"
	"github.com/slotsync/slotsync/agent/web/auth"
	"github.com/slotsync/slotsync/slots"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is an agent with one backend, web, of which something may be held.
type fake struct {
	mu      sync.Mutex
	status  api.Status
	sick    error
	syncErr error
	reload  error
	held    bool
	bare    bool     // instances show nothing
	haproxy error    // what is asked of HAProxy's process and configuration fails
	done    []string // what was changed
	events  *event.Log
}

func (f *fake) Events() *event.Log { return f.events }

func (f *fake) Status() api.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

func (f *fake) Healthy() error { return f.sick }

func (f *fake) Sync(context.Context) (api.Status, error) {
	f.did("sync")
	return f.Status(), f.syncErr
}

func (f *fake) Accept(_ context.Context, backend, id, by string) (api.Accepted, error) {
	f.did("accept " + backend + " " + id + " by " + by)
	switch {
	case backend != "web":
		return api.Accepted{}, fmt.Errorf("%s: %w", backend, api.ErrNoBackend)
	case !f.held:
		return api.Accepted{}, fmt.Errorf("%s: %w", backend, api.ErrNothingHeld)
	case id != "h1a2b3":
		return api.Accepted{}, fmt.Errorf("%s: %w %q: what may go now is h1a2b3, k99aa0", backend, api.ErrNoSuchID, id)
	}
	return api.Accepted{Backend: backend, ID: id, Removed: []string{"10.0.0.1:80"}}, nil
}

func (f *fake) Explain(_ context.Context, backend, about string) (api.Explanation, error) {
	switch {
	case backend != "web":
		return api.Explanation{}, fmt.Errorf("%w: %q", api.ErrNoBackend, backend)
	case about == "web9":
		return api.Explanation{}, fmt.Errorf("%w: %q of backend %q", api.ErrNoSubject, about, backend)
	}
	return api.Explanation{Schema: api.Schema, Name: backend, About: about, Verdict: "so it is", Sources: []api.SourceExplanation{}, Addresses: []api.AddressExplanation{}}, nil
}

func (f *fake) Reload(_ context.Context, drainRemoved bool) error {
	what := "reload"
	if drainRemoved {
		what += ", drain removed"
	}
	f.did(what)
	return f.reload
}

// The configuration of the fake HAProxy, its tag, and its only version.
const (
	configText = "global\n  # so\n"
	configTag  = "0123abcd"
	versionID  = "20301121T101500.000Z-0123abcd"
)

func (f *fake) ReloadHAProxy(_ context.Context, r api.ReloadRequest) ([]api.ReloadStatus, error) {
	f.did(fmt.Sprintf("reload haproxy %q by %q for %q, force %t", r.Name, r.By, r.Reason, r.Force))
	return f.Status().Reloads, f.haproxy
}

func (f *fake) RestoreHAProxy(_ context.Context, name, id, by, etag string) ([]api.ReloadStatus, error) {
	f.did(fmt.Sprintf("restore %q of %q by %q, etag %q", id, name, by, etag))
	if etag != "" && etag != configTag {
		return nil, api.ErrChanged
	}
	return f.Status().Reloads, cmp.Or(f.known(id), f.haproxy)
}

func (f *fake) CheckHAProxy(_ context.Context, name string) (string, error) {
	f.did(fmt.Sprintf("check %q", name))
	return "Configuration file is valid", f.haproxy
}

func (f *fake) HAProxyConfig(_ context.Context, name, version string) (text []byte, etag string, err error) {
	if version == "" {
		return []byte(configText + "# of " + name), configTag, f.haproxy
	}
	return []byte(configText), "", cmp.Or(f.known(version), f.haproxy)
}

func (f *fake) HAProxyVersions(context.Context, string) ([]api.ConfigVersion, error) {
	at := time.Date(2030, 11, 21, 10, 15, 0, 0, time.UTC)
	return []api.ConfigVersion{{ID: versionID, At: at, Reason: "overflow: web", Bytes: 14, Good: true}}, f.haproxy
}

func (f *fake) HAProxyDiff(_ context.Context, name, from, to string) (string, error) {
	return fmt.Sprintf("%s: %q to %q\n", name, from, to), cmp.Or(f.known(from), f.haproxy)
}

func (f *fake) ref(backend, server string) (api.ServerRef, error) {
	switch {
	case backend != "web":
		return api.ServerRef{}, fmt.Errorf("%w: %q", api.ErrNoBackend, backend)
	case server == "web9":
		return api.ServerRef{}, fmt.Errorf("%w: %q", api.ErrNoServer, server)
	}
	return api.ServerRef{Backend: backend, Endpoint: "10.0.0.1:80", Slot: "web1"}, f.haproxy
}

func (f *fake) SetState(_ context.Context, backend, server, state string, who api.Who) (api.ServerRef, error) {
	f.did(fmt.Sprintf("state %s/%s %s %s", backend, server, state, words(who)))
	return f.ref(backend, server)
}

func (f *fake) SetAddressState(_ context.Context, ip netip.Addr, state string, who api.Who) ([]api.ServerRef, error) {
	f.did(fmt.Sprintf("state %s %s %s", ip, state, words(who)))
	ref, err := f.ref("web", "web1")
	return []api.ServerRef{ref}, err
}

func (f *fake) SetAddressWeight(_ context.Context, ip netip.Addr, weight string, who api.Who) ([]api.ServerRef, error) {
	f.did(fmt.Sprintf("weight %s %q %s", ip, weight, words(who)))
	ref, err := f.ref("web", "web1")
	return []api.ServerRef{ref}, err
}

func (f *fake) SetWeight(_ context.Context, backend, server, weight string, who api.Who) (api.ServerRef, error) {
	f.did(fmt.Sprintf("weight %s/%s %q %s", backend, server, weight, words(who)))
	return f.ref(backend, server)
}

func (f *fake) AddServer(_ context.Context, backend string, addr netip.AddrPort, name, weight string, who api.Who) (api.ServerRef, error) {
	f.did(fmt.Sprintf("add %s/%s %q %q %s", backend, addr, name, weight, words(who)))
	return f.ref(backend, "")
}

func (f *fake) RemoveServer(_ context.Context, backend, server string) (api.ServerRef, error) {
	f.did(fmt.Sprintf("remove %s/%s", backend, server))
	if server == "web1" {
		return api.ServerRef{}, api.ErrDiscovered
	}
	return f.ref(backend, server)
}

func (f *fake) ShutSessions(_ context.Context, backend, server string) (api.ServerRef, error) {
	f.did(fmt.Sprintf("shut %s/%s", backend, server))
	return f.ref(backend, server)
}

func (f *fake) Pause(_ context.Context, backend string, hard bool, who api.Who) (api.Pause, error) {
	f.did(fmt.Sprintf("pause %q %t %s", backend, hard, words(who)))
	return api.Pause{Backend: backend, Hard: hard}, f.haproxy
}

func (f *fake) Resume(_ context.Context, backend string) error {
	f.did(fmt.Sprintf("resume %q", backend))
	if backend == "api" {
		return api.ErrNotPaused
	}
	return f.haproxy
}

func (f *fake) Dump(_ context.Context, instance, what string) (slots.Dump, error) {
	if instance != "edge-1" {
		return slots.Dump{}, fmt.Errorf("%w: %q", api.ErrNoInstance, instance)
	}
	d := slots.Dump{}
	if f.bare {
		return d, nil
	}
	d.Add("what", what, "status", "UP")
	if what == "stat" {
		d = slots.Dump{}
		d.Add("what", what, "status", "UP", "cookie", "s1")
	}
	return d, f.haproxy
}

func (f *fake) Raw(_ context.Context, instance, command, by string) (string, error) {
	f.did(fmt.Sprintf("raw %q to %s by %s", command, instance, by))
	return "said " + command, f.haproxy
}

func (f *fake) HAProxySections(context.Context, string) ([]api.ConfigSection, string, error) {
	return []api.ConfigSection{{Type: "global", Line: 1}, {Type: "backend", Name: "web", Line: 3}}, configTag, f.haproxy
}

func (f *fake) HAProxySection(_ context.Context, name, typ, section string) (text []byte, etag string, err error) {
	if section == "none" {
		return nil, "", fmt.Errorf("%w: %s", api.ErrNoSection, section)
	}
	return fmt.Appendf(nil, "%s %s # of %q\n", typ, section, name), configTag, f.haproxy
}

func (f *fake) PreviewHAProxySection(_ context.Context, e api.SectionEdit) (string, error) {
	switch {
	case e.ETag != "" && e.ETag != configTag:
		return "", api.ErrChanged
	case e.Name == "none":
		return "", fmt.Errorf("%w: %s", api.ErrNoSection, e.Name)
	}
	return "+" + string(e.Body), nil
}

func (f *fake) EditHAProxySection(_ context.Context, e api.SectionEdit) ([]api.ReloadStatus, error) {
	f.did(fmt.Sprintf("edit %s of %q by %q, etag %q, force %t: %q", e, e.Reload, e.By, e.ETag, e.Force, e.Body))
	return f.Status().Reloads, f.haproxy
}

// words says who asks; the longest that it may hold where there is one.
func words(w api.Who) string {
	text := fmt.Sprintf("{By:%s Reason:%s For:%s Keep:%t}", w.By, w.Reason, w.For, w.Keep)
	if w.MaxFor > 0 {
		text += " at most " + w.MaxFor.String()
	}
	return text
}

func (f *fake) known(id string) error {
	if id != versionID {
		return fmt.Errorf("%q: %w", id, api.ErrNoVersion)
	}
	return nil
}

func (f *fake) did(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = append(f.done, what)
}

func (f *fake) changes() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.done...)
}

func newFake() *fake {
	return &fake{held: true, events: event.New(time.Now()), status: api.Status{
		Schema: api.Schema, Version: "1.2.3", Ready: true,
		Backends:  []api.BackendStatus{{Name: "web", Backend: "web", Phase: "live"}},
		Instances: []api.InstanceStatus{{Name: "edge-1", Up: true, InSync: true}},
		Reloads:   []api.ReloadStatus{{Name: "haproxy", Instances: []string{"edge-1"}, Renders: true}},
	}}
}

// options are those of a server for f; change what a test is about. Over loopback one may
// operate, which is not the default: see [TestWhoMayDoWhat].
func options(f *fake) web.Options {
	return web.Options{
		Agent: f,
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, "slotsync_build_info 1")
		}),
		Reload: f.Reload, Examine: f.Examine, Options: auth.Options{Loopback: auth.LoopbackOperate},
	}
}

// askedBy is by what an agent at addr knows who asks it here with a token.
func askedBy(t *testing.T, addr string) string {
	t.Helper()
	if !strings.HasPrefix(addr, "unix:") {
		return "the token's holder"
	}
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

func newServer(t *testing.T, o web.Options) *web.Server {
	t.Helper()
	s, err := web.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serve binds what o names and answers until the test ends.
func serve(t *testing.T, o web.Options) *web.Server {
	t.Helper()
	s := newServer(t, o)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

func token(s string) func() string { return func() string { return s } }

func (f *fake) Examine(context.Context) ([]api.Finding, error) {
	f.did("examine")
	return []api.Finding{{Verdict: api.VerdictOK, Subject: "instance a", Text: "it is fine"}}, nil
}
