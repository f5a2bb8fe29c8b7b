package web_test

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/agent/client/clienttest"
	"github.com/slotsync/slotsync/discovery"
)

const serversOfWeb = "/v1/backends/web/servers"

func withServers(f *fake) {
	at := netip.MustParseAddrPort("[fd00::1]:80")
	f.status.Backends[0].Slots = []api.SlotStatus{
		{Name: "web1", Endpoint: "10.0.0.1:80", State: "drain", Title: "one", Override: "drain by ann", Instances: []api.InstanceSlot{}},
		{Name: "web2", State: "free", Instances: []api.InstanceSlot{}},
		{Name: "web3", Endpoint: "10.0.0.1:81", State: "ready", Instances: []api.InstanceSlot{}},
	}
	f.status.Backends[0].Overflow = []discovery.Endpoint{{Addr: at, Name: "late"}}
}

func TestOperatorRoutes(t *testing.T) {
	tests := []struct {
		name, what, body string
		want             int
		says             string
		did              []string
	}{
		{name: "drain", what: "PUT " + serversOfWeb + "/10.0.0.1:80/state", body: `{"state":"drain","for":"10m","reason":"disk","by":"ann"}`, want: 200,
			says: `{"backend":"web","endpoint":"10.0.0.1:80","slot":"web1"}`, did: []string{"state web/10.0.0.1:80 drain {By:ann Reason:disk For:10m0s Keep:false}"}},
		{name: "IPv6", what: "PUT " + serversOfWeb + "/%5Bfd00::1%5D:80/state", body: `{"state":"maint","keep":true}`, want: 200, says: "web1",
			did: []string{"state web/[fd00::1]:80 maint {By:the API Reason: For:0s Keep:true}"}},
		{name: "no backend", what: "PUT /v1/backends/api/servers/web1/state", body: `{"state":"drain"}`, want: 404, says: "no such backend",
			did: []string{"state api/web1 drain {By:the API Reason: For:0s Keep:false}"}},
		{name: "no server", what: "PUT " + serversOfWeb + "/web9/state", body: `{"state":"drain"}`, want: 404, says: "no such server",
			did: []string{"state web/web9 drain {By:the API Reason: For:0s Keep:false}"}},
		{name: "for ever and a day", what: "PUT " + serversOfWeb + "/web1/state", body: `{"state":"drain","for":"a day"}`, want: 400, says: "no duration"},
		{name: "negative", what: "PUT " + serversOfWeb + "/web1/state", body: `{"state":"drain","for":"-1m"}`, want: 400, says: "no duration"},
		{name: "unknown key", what: "PUT " + serversOfWeb + "/web1/state", body: `{"status":"drain"}`, want: 400, says: "unknown field"},
		{name: "weight as text", what: "PUT " + serversOfWeb + "/web1/weight", body: `{"weight":"20%"}`, want: 200, says: "web1",
			did: []string{`weight web/web1 "20%" {By:the API Reason: For:0s Keep:false}`}},
		{name: "weight as number", what: "PUT " + serversOfWeb + "/web1/weight", body: `{"weight":58}`, want: 200, says: "web1",
			did: []string{`weight web/web1 "58" {By:the API Reason: For:0s Keep:false}`}},
		{name: "weight of the source", what: "PUT " + serversOfWeb + "/web1/weight", body: `{"weight":""}`, want: 200, says: "web1",
			did: []string{`weight web/web1 "" {By:the API Reason: For:0s Keep:false}`}},
		{name: "no weight", what: "PUT " + serversOfWeb + "/web1/weight", want: 400, says: "weight is missing"},
		{name: "no weight of an address", what: "PUT /v1/addresses/10.0.0.1/weight", body: `{"for":"1h"}`, want: 400, says: "weight is missing"},
		{name: "weight of null", what: "PUT " + serversOfWeb + "/web1/weight", body: `{"weight":null}`, want: 400, says: "weight is missing"},
		{name: "weight as list", what: "PUT " + serversOfWeb + "/web1/weight", body: `{"weight":[58]}`, want: 400, says: "weight is a number"},
		{name: "add", what: "POST " + serversOfWeb, body: `{"address":"10.0.0.9:80","name":"spare","weight":5}`, want: 200, says: "web1",
			did: []string{`add web/10.0.0.9:80 "spare" "5" {By:the API Reason: For:0s Keep:false}`}},
		{name: "add a name", what: "POST " + serversOfWeb, body: `{"address":"spare:80"}`, want: 400, says: "is not ip:port"},
		{name: "remove", what: "DELETE " + serversOfWeb + "/10.0.0.9:80", want: 200, says: "web1", did: []string{"remove web/10.0.0.9:80"}},
		{name: "remove a discovered one", what: "DELETE " + serversOfWeb + "/web1", want: 409, says: "drain or stop it instead", did: []string{"remove web/web1"}},
		{name: "shut", what: "POST " + serversOfWeb + "/web1/shutdown-sessions", want: 200, says: "web1", did: []string{"shut web/web1"}},
		{name: "list", what: "GET " + serversOfWeb, want: 200,
			says: `[{"backend":"web","endpoint":"10.0.0.1:80","slot":"web1","name":"one","state":"drain","override":"drain by ann","instances":[]},` +
				`{"backend":"web","endpoint":"10.0.0.1:81","slot":"web3","state":"ready","instances":[]},` +
				`{"backend":"web","endpoint":"[fd00::1]:80","slot":"","name":"late","state":"overflow","instances":[]}]`},
		{name: "list of none", what: "GET /v1/backends/api/servers", want: 404, says: "no such backend"},
		{name: "addresses", what: "GET /v1/addresses", want: 200, says: `[{"address":"10.0.0.1","servers":[{"backend":"web","endpoint":"10.0.0.1:80"`},
		{name: "address", what: "PUT /v1/addresses/10.0.0.1/state", body: `{"state":"maint"}`, want: 200, says: `[{"backend":"web"`,
			did: []string{"state 10.0.0.1 maint {By:the API Reason: For:0s Keep:false}"}},
		{name: "weight of an address", what: "PUT /v1/addresses/10.0.0.1/weight", body: `{"weight":"20%"}`, want: 200, says: `[{"backend":"web"`,
			did: []string{`weight 10.0.0.1 "20%" {By:the API Reason: For:0s Keep:false}`}},
		{name: "weight of no address", what: "PUT /v1/addresses/web1/weight", body: `{"weight":1}`, want: 400, says: "no address"},
		{name: "no address", what: "PUT /v1/addresses/web1/state", body: `{"state":"maint"}`, want: 400, says: "no address"},
		{name: "pause", what: "POST /v1/pause", body: `{"backend":"web","for":"1h","hard":true}`, want: 200, says: `"hard":true`,
			did: []string{`pause "web" true {By:the API Reason: For:1h0m0s Keep:false}`}},
		{name: "pause all", what: "POST /v1/pause", want: 200, says: `"backend":""`, did: []string{`pause "" false {By:the API Reason: For:0s Keep:false}`}},
		{name: "resume", what: "POST /v1/resume", body: `{"backend":"web"}`, want: 200, says: "{}", did: []string{`resume "web"`}},
		{name: "resume nothing", what: "POST /v1/resume", body: `{"backend":"api"}`, want: 409, says: "not paused", did: []string{`resume "api"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			withServers(f)
			w := asked(t, f, tt.what, tt.body)
			if w.Code != tt.want || !strings.Contains(w.Body.String(), tt.says) {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			if diff := cmp.Diff(tt.did, f.changes()); diff != "" {
				t.Errorf("done (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWhoMayOperate: over loopback without a token one may drain where that is
// configured, and not cut sessions; where there is a token it is asked for.
func TestWhoMayOperate(t *testing.T) {
	f := newFake()
	o := options(f)
	o.Listen, o.Token = "127.0.0.1:0", token("secret")
	s := serve(t, o)
	c := clienttest.New(t, "http://"+s.Addr(), nil)
	drain := func(c *client.Client) error {
		_, err := c.SetState(t.Context(), "web", "web1", api.StateBody{State: "drain", WhoBody: api.WhoBody{By: "the console"}})
		return err
	}
	if err := drain(c); err == nil || !strings.Contains(err.Error(), "http.token_file") {
		t.Errorf("got %v", err)
	}
	if _, err := c.ShutSessions(t.Context(), "web", "web1"); err == nil || !strings.Contains(err.Error(), "http.token_file") {
		t.Errorf("got %v", err)
	}
	c = clienttest.New(t, "http://"+s.Addr(), token("secret"))
	if _, err := c.ShutSessions(t.Context(), "web", "web1"); err != nil {
		t.Error(err)
	}
	o.Token = nil
	c = clienttest.New(t, "http://"+serve(t, o).Addr(), nil)
	if err := drain(c); err != nil {
		t.Error(err)
	}
	if _, err := c.ShutSessions(t.Context(), "web", "web1"); err == nil || !strings.Contains(err.Error(), "http.token_file") {
		t.Errorf("got %v", err)
	}
	want := []string{"shut web/web1", "state web/web1 drain {By:loopback user " + askedBy(t, "unix:") + " (the console) Reason: For:0s Keep:false} at most 720h0m0s"}
	if diff := cmp.Diff(want, f.changes()); diff != "" {
		t.Errorf("done (-want +got):\n%s", diff)
	}
}

func TestOperatorClient(t *testing.T) {
	f := newFake()
	withServers(f)
	o := options(f)
	o.Socket = filepath.Join(socketDir(t), "a.sock")
	serve(t, o)
	c, ctx := clienttest.New(t, "unix://"+o.Socket, nil), t.Context()
	var errs []error
	add := func(_ any, err error) { errs = append(errs, err) }
	add(c.SetState(ctx, "web", "[fd00::1]:80", api.StateBody{State: "drain", WhoBody: api.WhoBody{For: "1h", By: "ann"}}))
	add(c.SetAddressState(ctx, netip.MustParseAddr("fd00::1"), api.StateBody{State: "ready"}))
	add(c.SetWeight(ctx, "web", "web1", api.WeightBody{Weight: "20%"}))
	add(c.SetAddressWeight(ctx, netip.MustParseAddr("fd00::1"), api.WeightBody{Weight: "8"}))
	add(c.AddServer(ctx, "web", api.ServerBody{Address: "10.0.0.9:80"}))
	add(c.RemoveServer(ctx, "web", "web2"))
	add(c.ShutSessions(ctx, "web", "web2"))
	add(c.Pause(ctx, api.PauseBody{Hard: true}))
	add(nil, c.Resume(ctx, "web"))
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	me := askedBy(t, "unix:")
	who := " {By:" + me + " Reason: For:0s Keep:false}"
	want := []string{"state web/[fd00::1]:80 drain {By:" + me + " (ann) Reason: For:1h0m0s Keep:false}", "state fd00::1 ready" + who, `weight web/web1 "20%"` + who, `weight fd00::1 "8"` + who,
		`add web/10.0.0.9:80 "" ""` + who, "remove web/web2", "shut web/web2", `pause "" true` + who, `resume "web"`}
	if diff := cmp.Diff(want, f.changes()); diff != "" {
		t.Errorf("done (-want +got):\n%s", diff)
	}
	if rows, err := c.Servers(ctx, "web"); err != nil || len(rows) != 3 || rows[2].State != "overflow" {
		t.Errorf("got %+v, %v", rows, err)
	}
	if rows, err := c.Addresses(ctx); err != nil || len(rows) != 2 || len(rows[0].Servers) != 2 {
		t.Errorf("got %+v, %v", rows, err)
	}
	if _, err := c.Servers(ctx, "a/b"); err == nil {
		t.Error("there is no such backend")
	}
}

// What is in force and could not be stored is answered with 507, and the client says so.
func TestNotStoredIsInsufficientStorage(t *testing.T) {
	f := newFake()
	withServers(f)
	f.haproxy = fmt.Errorf("%w: no space left on device", api.ErrNotStored)
	o := options(f)
	o.Socket = filepath.Join(socketDir(t), "a.sock")
	serve(t, o)
	_, err := clienttest.New(t, "unix://"+o.Socket, nil).SetState(t.Context(), "web", "web1", api.StateBody{State: "drain"})
	if err == nil || !strings.Contains(err.Error(), "in force, and lost at the next restart: it could not be stored: no space left on device") {
		t.Errorf("got %v", err)
	}
}
