package haproxy_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// TestDump asks a real HAProxy, through which a request is under way, for
// everything that it shows.
func TestDump(t *testing.T) {
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			port := haproxytest.FreePort(t)
			p := haproxytest.Start(t, haproxytest.Config{Version: version, Text: "global\n  stats socket {socket} mode 600 level admin\n" +
				"defaults\n  mode tcp\n  timeout client 30s\n  timeout connect 1s\n  timeout server 30s\n" +
				"frontend in\n  bind 127.0.0.1:" + strconv.Itoa(port) + "\n  tcp-request inspect-delay 20s\n  tcp-request content accept if { req.len gt 1000 }\n  default_backend web\n" +
				"backend web\n  server-template web 1-3 slot.invalid:1 init-addr last,127.0.0.1 disabled weight 100\n"})
			c := client(t, p.Socket)
			info := dump(t, c, slots.DumpInfo)
			if len(info.Rows) != 1 || info.Rows[0]["Name"] != "HAProxy" || !strings.HasPrefix(info.Rows[0]["Version"], version) || info.Columns[0] != "Name" {
				t.Errorf("info: %+v", info)
			}
			stat := dump(t, c, slots.DumpStat)
			web1 := row(t, stat, "svname", "web1")
			if web1["pxname"] != "web" || web1["status"] != "MAINT" || web1["weight"] != "100" || web1["scur"] != "0" || !slices.Contains(stat.Columns, "hrsp_5xx") {
				t.Errorf("stat: %+v", web1)
			}
			servers := dump(t, c, slots.DumpServers)
			if web3 := row(t, servers, "srv_name", "web3"); len(servers.Rows) != 3 || web3["be_name"] != "web" || web3["srv_fqdn"] != "slot.invalid" {
				t.Errorf("servers: %+v", servers)
			}
			conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			sess := waitForSession(t, c)
			if !strings.HasPrefix(sess["id"], "0x") || sess["be"] == "" || !strings.Contains(sess["src"], "127.0.0.1") || sess["rq"] == "" {
				t.Errorf("sess: %+v", sess)
			}
			p.Kill()
			if _, err := c.Dump(t.Context(), slots.DumpInfo); err == nil {
				t.Error("a dead HAProxy shows something")
			}
		})
	}
}

func dump(t *testing.T, c *haproxy.Client, what string) slots.Dump {
	t.Helper()
	d, err := c.Dump(t.Context(), what)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func row(t *testing.T, d slots.Dump, column, value string) map[string]string {
	t.Helper()
	for _, r := range d.Rows {
		if r[column] == value {
			return r
		}
	}
	t.Fatalf("no row with %s %s in %+v", column, value, d)
	return nil
}

func waitForSession(t *testing.T, c *haproxy.Client) map[string]string {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		for _, r := range dump(t, c, slots.DumpSess).Rows {
			if r["fe"] == "in" {
				return r
			}
		}
	}
	t.Fatal("no session is shown")
	return nil
}

func TestDumpRefuses(t *testing.T) {
	c := client(t, "/nonexistent/haproxy.sock")
	if _, err := c.Dump(t.Context(), "everything"); err == nil || !strings.Contains(err.Error(), "info, stat, sess, servers") {
		t.Errorf("got %v", err)
	}
	if _, err := c.Dump(t.Context(), slots.DumpInfo); err == nil {
		t.Error("nobody is there")
	}
}

func TestRaw(t *testing.T) {
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			p := haproxytest.Start(t, haproxytest.Config{Version: version, Backends: []haproxytest.Backend{{Name: "web", Slots: 2}}})
			c := client(t, p.Socket)
			both, err := c.Raw(t.Context(), "show version;get weight web/web1")
			if err != nil || !strings.HasPrefix(both, version) || !strings.Contains(both, "(initial 100)") {
				t.Errorf("got %q, %v", both, err)
			}
			if text, err := c.Raw(t.Context(), "set weight web/web1 50"); err != nil || text != "" {
				t.Errorf("got %q, %v", text, err)
			}
			if text, err := c.Raw(t.Context(), "get weight web/web1"); err != nil || text != "50 (initial 100)" {
				t.Errorf("got %q, %v", text, err)
			}
		})
	}
}

func TestRawRefuses(t *testing.T) {
	c := client(t, "/nonexistent/haproxy.sock")
	for name, command := range map[string]string{
		"empty": " ", "two lines": "show info\nset weight web/web1 0", "NUL": "show info\x00", "escape": "show \x1b[2J", "not ASCII": "show ä",
		"long": "show " + strings.Repeat("x", 15_000),
	} {
		if _, err := c.Raw(t.Context(), command); err == nil || strings.Contains(err.Error(), "haproxy.sock") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPeopleLeaveRoom: however many ask, and however long HAProxy takes, there are
// connections left for changes, and for who may do everything.
func TestPeopleLeaveRoom(t *testing.T) {
	const most, all = 3, 20
	f := haproxytest.NewFake(t, "3.0", haproxytest.Backend{Name: "web", Slots: 2})
	c, err := haproxy.New(haproxy.Options{Socket: f.Socket, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	resume := f.Hang()
	errs := make(chan error, 2*all)
	ask := func(ctx context.Context) {
		for range all {
			go func() {
				_, err := c.Raw(ctx, "show info")
				errs <- err
			}()
		}
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	settles := func(at int) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); f.Sessions() < at && time.Now().Before(deadline); {
			<-tick.C
		}
		for range 50 {
			<-tick.C
			if n := f.Sessions(); n != at {
				t.Errorf("%d connections for people, want %d", n, at)
				break
			}
		}
	}
	ask(slots.ForReader(t.Context()))
	settles(1) // the others are for who may do everything
	ask(t.Context())
	settles(most)
	_, err = c.Raw(shortly(t, 10*time.Millisecond), "show info")
	if fault, _ := slots.FaultOf(err); fault != slots.Crowded || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while others ask: %v", err)
	}
	resume()
	for range 2 * all {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// TestWhoGoesAwayLeavesNoSession: HAProxy has its places back from people who do not
// wait for the end of an answer, and there is one for changes.
func TestWhoGoesAwayLeavesNoSession(t *testing.T) {
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			p := haproxytest.Start(t, haproxytest.Config{Version: version, Backends: []haproxytest.Backend{{Name: "web", Slots: 20}}})
			c := client(t, p.Socket)
			for range 12 {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
				if text, err := c.Raw(ctx, strings.Repeat("show stat json;", 50)); err == nil && text == "" {
					t.Error("nothing is said")
				}
				cancel()
			}
			if text, err := c.Raw(shortly(t, 10*time.Second), "show info"); err != nil || !strings.Contains(text, "Pid:") {
				t.Errorf("%.40q, %v", text, err)
			}
			if _, err := c.Info(shortly(t, 10*time.Second)); err != nil {
				t.Error(err)
			}
		})
	}
}
