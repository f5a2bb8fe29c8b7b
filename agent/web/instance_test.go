package web_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/agent/client/clienttest"
	"github.com/slotsync/slotsync/slots"
)

func TestInstanceRoutes(t *testing.T) {
	tests := []struct {
		name, what, body string
		with             error
		want             int
		says             string
		did              []string
	}{
		{name: "info", what: "GET /v1/instances/edge-1/info", want: 200, says: `{"columns":["what","status"],"rows":[{"status":"UP","what":"info"}]}`},
		{name: "stat", what: "GET /v1/instances/edge-1/stat", want: 200, says: `"stat"`},
		{name: "sess", what: "GET /v1/instances/edge-1/sess", want: 200, says: `"sess"`},
		{name: "servers", what: "GET /v1/instances/edge-1/servers", want: 200, says: `"servers"`},
		{name: "no such dump", what: "GET /v1/instances/edge-1/pools", want: 404, says: "there is nothing at"},
		{name: "no such instance", what: "GET /v1/instances/edge-2/info", want: 404, says: `no such instance: \"edge-2\"`},
		{name: "it is dead", what: "GET /v1/instances/edge-1/info", with: errors.New("connection refused"), want: 502, says: "connection refused"},
		{name: "raw", what: "POST /v1/instances/edge-1/raw", body: `{"command":"show pools","by":"ann"}`, want: 200, says: `{"reply":"said show pools"}`,
			did: []string{`raw "show pools" to edge-1 by ann`}},
		{name: "raw that writes", what: "POST /v1/instances/edge-1/raw", body: `{"command":"set weight a/b 1"}`, want: 200, says: "said",
			did: []string{`raw "set weight a/b 1" to edge-1 by the API`}},
		{name: "not JSON", what: "POST /v1/instances/edge-1/raw", body: "show info", want: 400, says: "not what is wanted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			f.haproxy = tt.with
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

// TestWhoMaySayAnything: over loopback without a token a line may only show, and one thing.
func TestWhoMaySayAnything(t *testing.T) {
	f := newFake()
	o := options(f)
	o.Listen, o.Token = "127.0.0.1:0", token("secret")
	s := serve(t, o)
	for command, free := range map[string]bool{
		"show info": true, " show  pools ": true, "help": true, "": true, "show sess all;show sess all": false, "show info;": false,
		"set weight a/b 0": false, "show info;disable server a/b": false, "get weight a/b": false,
		"SHOW info": false, "@1 show info": false, "prompt": false, `show info\;set weight a/b 0`: false,
	} {
		f.done = nil
		_, err := clienttest.New(t, "http://"+s.Addr(), nil).Raw(t.Context(), "edge-1", api.RawBody{Command: command})
		if free != (err == nil) || free != (len(f.changes()) == 1) || free && !api.OnlyShows(command) {
			t.Errorf("%q: %v, done %q", command, err, f.changes())
		}
		if _, err := clienttest.New(t, "http://"+s.Addr(), token("secret")).Raw(t.Context(), "edge-1", api.RawBody{Command: command}); err != nil {
			t.Errorf("%q with the token: %v", command, err)
		}
	}
}

func TestInstanceClient(t *testing.T) {
	f := newFake()
	o := options(f)
	o.Socket = filepath.Join(socketDir(t), "a.sock")
	serve(t, o)
	c := clienttest.New(t, "unix://"+o.Socket, nil)
	want := slots.Dump{}
	want.Add("what", "sess", "status", "UP")
	d, err := c.Dump(t.Context(), "edge-1", "sess")
	if diff := cmp.Diff(want, d); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := c.Dump(t.Context(), "a/b", "sess"); err == nil || !strings.Contains(err.Error(), `"a/b"`) {
		t.Errorf("got %v", err)
	}
	if reply, err := c.Raw(t.Context(), "edge-1", api.RawBody{Command: "show info"}); err != nil || reply != "said show info" {
		t.Errorf("got %q, %v", reply, err)
	}
}

// TestCookiesOfServersAreHidden from who may only read: with one anybody is sent to that
// server.
func TestCookiesOfServersAreHidden(t *testing.T) {
	o := options(newFake())
	o.Listen, o.Socket, o.Token, o.ReadToken = "127.0.0.1:0", filepath.Join(socketDir(t), "a.sock"), token("secret"), token("readers")
	s := serve(t, o)
	tcp := "http://" + s.Addr()
	for _, tt := range []struct {
		name string
		c    *client.Client
		want string
	}{
		{"nobody", clienttest.New(t, tcp, nil), "hidden"}, {"reading token", clienttest.New(t, tcp, token("readers")), "hidden"},
		{"token", clienttest.New(t, tcp, token("secret")), "s1"}, {"socket", clienttest.New(t, "unix://"+o.Socket, nil), "s1"},
	} {
		d, err := tt.c.Dump(t.Context(), "edge-1", "stat")
		if err != nil || len(d.Rows) != 1 || d.Rows[0]["cookie"] != tt.want || d.Rows[0]["status"] != "UP" {
			t.Errorf("%s: %+v, %v", tt.name, d, err)
		}
	}
}
