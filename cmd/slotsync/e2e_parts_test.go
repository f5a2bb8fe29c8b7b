package main

import (
	"fmt"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/discovery/dns"
	"github.com/slotsync/slotsync/discovery/dns/dnstest"
	"github.com/slotsync/slotsync/discovery/file"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// quickDNS returns a source that asks these servers, several times a second.
func quickDNS(t *testing.T, q dns.Query, servers ...string) discovery.Source {
	t.Helper()
	client, err := dns.NewClient(dns.Options{Servers: servers, Timeout: 300 * time.Millisecond, MinRefresh: 200 * time.Millisecond, MaxRefresh: 400 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() }) // it has no errors
	source, err := client.Source(q)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// fills starts an HAProxy of that version and an agent that fills web from these sources.
func fills(t *testing.T, version string, rules func(*agent.Backend), sources ...discovery.Source) (r *rig, socket string) {
	t.Helper()
	p := haproxytest.Start(t, haproxytest.Config{Version: version, Backends: []haproxytest.Backend{{Name: "web", Slots: 20}}})
	b := agent.Backend{Name: "web", Proxy: "web", Prefix: "web"}
	for i, s := range sources {
		b.Feeds = append(b.Feeds, agent.Feed{Name: fmt.Sprintf("source-%d", i), Source: s, Key: fmt.Sprintf("%d %s", i, s)})
	}
	if rules != nil {
		rules(&b)
	}
	r = newRig(t, map[string]string{"edge": p.Socket}, b)
	r.start()
	return r, p.Socket
}

// serves says what keeps HAProxy from having exactly these addresses in service.
func serves(t *testing.T, socket string, want ...string) func() string {
	slices.Sort(want)
	return func() string {
		t.Helper()
		if got := ready(t, socket, "web"); !slices.Equal(got, want) {
			return fmt.Sprintf("%v are in service, want %v", got, want)
		}
		return ""
	}
}

// port80 are addresses of the loopback interface, as "127.0.0.N:80".
func port80(last ...int) []string {
	var out []string
	for _, n := range last {
		out = append(out, fmt.Sprintf("127.0.0.%d:80", n))
	}
	return out
}

// targetsZone is a zone in which web has SRV targets t4, t5 and so on, by the last
// number of their address.
func targetsZone(last ...int) dnstest.Zone {
	z := dnstest.Zone{Name: "slots.example", TTL: time.Second, Services: map[string][]dnstest.Target{}}
	for _, n := range last {
		z.Services["_web._tcp.slots.example"] = append(z.Services["_web._tcp.slots.example"], dnstest.Target{
			Name: fmt.Sprintf("t%d.slots.example", n), Port: 80, Addrs: dnstest.Addrs(fmt.Sprintf("127.0.0.%d", n)),
		})
	}
	return z
}

// ignorant is a server that says of every name that it does not exist.
func ignorant(t *testing.T) *dnstest.Server {
	s := dnstest.NewServer(t)
	s.SetRcode(wire.RcodeNameError)
	return s
}

// A server that never had a name has no say in whether it is gone: neither of one target
// whose answers get lost at the server that has it, nor of everything.
func TestWhoNeverHadTheNameHasNoSay(t *testing.T) {
	t.Parallel()
	t.Run("one target", func(t *testing.T) {
		t.Parallel()
		has := dnstest.NewServer(t)
		var targets []dnstest.Target
		for n := 4; n <= 7; n++ {
			name := fmt.Sprintf("t%d.slots.example.", n)
			has.SetA(name, time.Second, dnstest.Addrs(fmt.Sprintf("127.0.0.%d", n))...)
			targets = append(targets, dnstest.Target{Name: name, Port: 80})
		}
		has.SetSRV("_web._tcp.slots.example.", time.Second, targets...)
		r, socket := fills(t, "3.2", nil, quickDNS(t, dns.Query{Record: "_web._tcp.slots.example"}, has.Addr(), ignorant(t).Addr()))
		eventually(t, 15*time.Second, serves(t, socket, port80(4, 5, 6, 7)...))
		has.SetHook(func(_ wire.ResponseWriter, q *wire.Msg) bool { return strings.HasPrefix(q.Question[0].Name, "t7.") })
		eventually(t, 15*time.Second, keeps(r, "127.0.0.7:80", "t7.slots.example"))
		during(t, 2*time.Second, serves(t, socket, port80(4, 5, 6, 7)...))
		has.SetSRV("_web._tcp.slots.example.", time.Second, targets[1:]...) // t4 leaves beside it
		eventually(t, 15*time.Second, serves(t, socket, port80(5, 6, 7)...))
		has.SetHook(nil)
		eventually(t, 15*time.Second, func() string {
			if kept := r.backend("web").Kept; len(kept) > 0 {
				return fmt.Sprintf("still kept: %+v", kept)
			}
			return ""
		})
	})
	t.Run("everything", func(t *testing.T) {
		t.Parallel()
		has := dnstest.StartBind(t, targetsZone(4, 5, 6))
		r, socket := fills(t, "3.2", func(b *agent.Backend) { b.Guard.EmptyHold = time.Second },
			quickDNS(t, dns.Query{Record: "_web._tcp.slots.example"}, has.Addr(), ignorant(t).Addr()))
		eventually(t, 15*time.Second, serves(t, socket, port80(4, 5, 6)...))
		has.Kill()
		during(t, 6*time.Second, serves(t, socket, port80(4, 5, 6)...))
		if h := r.backend("web").Hold; h != nil {
			t.Errorf("held: %+v", h)
		}
		has.Restart()
		has.Change(targetsZone(6, 8))
		eventually(t, 15*time.Second, serves(t, socket, port80(6, 8)...))
	})
}

// keeps says what keeps the agent from showing address as kept because of a part that
// is named so.
func keeps(r *rig, address, part string) func() string {
	return func() string {
		for _, k := range r.backend("web").Kept {
			if slices.Contains(k.Endpoints, address) && strings.Contains(k.Part, part) && k.Reason != "" && k.ID != "" {
				return ""
			}
		}
		return fmt.Sprintf("kept: %+v", r.backend("web").Kept)
	}
}

// IPv4 is served, joins and leaves, whatever is the matter with IPv6, also after a
// restart of the agent.
func TestFamiliesAreParts(t *testing.T) {
	for name, trouble := range map[string]func(wire.ResponseWriter, *wire.Msg){
		"SERVFAIL": rcode(wire.RcodeServerFailure), "NOTIMP": rcode(wire.RcodeNotImplemented), "REFUSED": rcode(wire.RcodeRefused),
		"silence": func(wire.ResponseWriter, *wire.Msg) {},
		"a bare header": func(w wire.ResponseWriter, q *wire.Msg) {
			_, _ = w.Write([]byte{byte(q.Id >> 8), byte(q.Id), 0x80, wire.RcodeFormatError, 0, 0, 0, 0, 0, 0, 0, 0})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := dnstest.NewServer(t)
			server.SetA("web.slots.example.", time.Second, dnstest.Addrs("127.0.0.4", "127.0.0.5")...)
			server.SetHook(func(w wire.ResponseWriter, q *wire.Msg) bool {
				if q.Question[0].Qtype != wire.TypeAAAA {
					return false
				}
				trouble(w, q)
				return true
			})
			query := dns.Query{Record: "web.slots.example", Port: 80}
			r, socket := fills(t, "2.6", nil, quickDNS(t, query, server.Addr()))
			eventually(t, 15*time.Second, serves(t, socket, port80(4, 5)...))
			server.SetA("web.slots.example.", time.Second, dnstest.Addrs("127.0.0.5", "127.0.0.6")...)
			eventually(t, 15*time.Second, serves(t, socket, port80(5, 6)...))
			r.stop()
			r.opts.Backends[0].Feeds[0].Source = quickDNS(t, query, server.Addr())
			server.SetA("web.slots.example.", time.Second, dnstest.Addrs("127.0.0.6", "127.0.0.7")...)
			r.start()
			eventually(t, 15*time.Second, serves(t, socket, port80(6, 7)...))
			eventually(t, 15*time.Second, func() string {
				for _, p := range r.agent.Status().Sources[0].Parts {
					if strings.HasPrefix(p.Name, "AAAA of web.slots.example") && p.State == "unknown" {
						return ""
					}
				}
				return fmt.Sprintf("the status does not say so: %+v", r.agent.Status().Sources[0].Parts)
			})
		})
	}
}

func rcode(code int) func(wire.ResponseWriter, *wire.Msg) {
	return func(w wire.ResponseWriter, q *wire.Msg) {
		m := new(wire.Msg)
		_ = w.WriteMsg(m.SetRcode(q, code))
	}
}

// A server that knows no EDNS, and says so by nothing but a header, is asked without.
func TestBareFormErr(t *testing.T) {
	t.Parallel()
	server := dnstest.NewServer(t)
	server.SetA("web.slots.example.", time.Second, dnstest.Addrs("127.0.0.4")...)
	server.SetHook(func(w wire.ResponseWriter, q *wire.Msg) bool {
		if q.IsEdns0() == nil {
			return false
		}
		_, _ = w.Write([]byte{byte(q.Id >> 8), byte(q.Id), 0x80, wire.RcodeFormatError, 0, 0, 0, 0, 0, 0, 0, 0})
		return true
	})
	_, socket := fills(t, "2.6", nil, quickDNS(t, dns.Query{Record: "web.slots.example", Port: 80, Type: dns.TypeA}, server.Addr()))
	eventually(t, 15*time.Second, serves(t, socket, port80(4)...))
}

// One SRV target that never resolved, at BIND: the others are served, join and leave, and
// the status names it.
func TestTargetThatDoesNotResolve(t *testing.T) {
	t.Parallel()
	with := func(last ...int) dnstest.Zone {
		z := targetsZone(last...)
		z.Services["_web._tcp.slots.example"] = append(z.Services["_web._tcp.slots.example"], dnstest.Target{Name: "elsewhere.invalid", Port: 80})
		return z
	}
	bind := dnstest.StartBind(t, with(4, 5, 6))
	r, socket := fills(t, "2.6", nil, quickDNS(t, dns.Query{Record: "_web._tcp.slots.example"}, bind.Addr()))
	eventually(t, 15*time.Second, serves(t, socket, port80(4, 5, 6)...))
	bind.Change(with(5, 6, 7))
	eventually(t, 15*time.Second, serves(t, socket, port80(5, 6, 7)...))
	source := r.agent.Status().Sources[0]
	if named := fmt.Sprint(source.Parts, source.Rejected); !strings.Contains(named, "elsewhere.invalid") {
		t.Errorf("the status does not name it: %s", named)
	}
}

// Two sources, one of which never answers, and a folder with a file that cannot be read:
// what the others list goes in, and what they replace leaves, as often as they like.
func TestNothingWaitsForASilentSource(t *testing.T) {
	t.Parallel()
	silent := dnstest.NewServer(t)
	silent.SetMode(dnstest.Drop)
	dir := t.TempDir()
	list := func(last ...int) {
		t.Helper()
		text := fmt.Sprintf("- targets: [%s]\n", strings.Join(port80(last...), ", "))
		if err := os.WriteFile(filepath.Join(dir, ".new"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, ".new"), filepath.Join(dir, "web.yaml")); err != nil {
			t.Fatal(err)
		}
	}
	list(4, 5, 6)
	if err := os.WriteFile(filepath.Join(dir, "foreign.yaml"), []byte("}{ not ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := file.New(file.Options{Path: filepath.Join(dir, "*.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	folder, err := files.Source(file.Query{})
	if err != nil {
		t.Fatal(err)
	}
	r, socket := fills(t, "3.4", func(b *agent.Backend) { b.Guard.TurnoverWait, b.Guard.RemovalHold = time.Second, 2*time.Second },
		folder, quickDNS(t, dns.Query{Record: "_web._tcp.slots.example"}, silent.Addr()))
	eventually(t, 15*time.Second, serves(t, socket, port80(4, 5, 6)...))
	for i := range 4 {
		list(10+3*i, 11+3*i, 12+3*i)
		eventually(t, 20*time.Second, serves(t, socket, port80(10+3*i, 11+3*i, 12+3*i)...))
	}
	parts := fmt.Sprint(r.agent.Status().Sources[0].Parts)
	if !strings.Contains(parts, "foreign.yaml") {
		t.Errorf("the file that cannot be read is not named: %s", parts)
	}
}

// BIND leaves AAAA sets out of an answer that would be too large, without a sign of it:
// nothing that serves goes because of that.
func TestGlueThatIsLeftOut(t *testing.T) {
	t.Parallel()
	zone := func(n int) dnstest.Zone {
		z := dnstest.Zone{Name: "slots.example", TTL: time.Second, Services: map[string][]dnstest.Target{}}
		for i := range n {
			z.Services["_web._tcp.slots.example"] = append(z.Services["_web._tcp.slots.example"], dnstest.Target{
				Name: fmt.Sprintf("a-target-with-a-name-that-takes-some-room-%02d.slots.example", i), Port: uint16(8000 + i),
				Addrs: []netip.Addr{netip.MustParseAddr(fmt.Sprintf("127.0.0.%d", 10+i)), netip.MustParseAddr("::1")},
			})
		}
		return z
	}
	bind := dnstest.StartBind(t, zone(2))
	_, socket := fills(t, "3.0", nil, quickDNS(t, dns.Query{Record: "_web._tcp.slots.example"}, bind.Addr()))
	both := func(n int) (out []string) {
		for i := range n {
			out = append(out, fmt.Sprintf("127.0.0.%d:%d", 10+i, 8000+i), fmt.Sprintf("[::1]:%d", 8000+i))
		}
		return out
	}
	eventually(t, 15*time.Second, serves(t, socket, both(2)...))
	bind.Change(zone(9))
	eventually(t, 15*time.Second, serves(t, socket, both(9)...))
	during(t, 3*time.Second, serves(t, socket, both(9)...))
}

// A token that may read less of a service than before, with the stream of a current
// Consul, which does not say so: nothing goes, and the list is asked for plainly.
func TestNarrowedTokenWithAStream(t *testing.T) {
	t.Parallel()
	fake := consultest.NewFake(t)
	listener := httptest.NewServer(fake)
	t.Cleanup(listener.Close)
	instance := func(n int) *api.ServiceEntry {
		return consultest.Instance(fmt.Sprintf("web-%d", n), fmt.Sprintf("127.0.0.%d", n), 80)
	}
	fake.Stream(true)
	fake.Hide("somebody-else", "node-nowhere")
	fake.Set("web", instance(4), instance(5), instance(6))
	r, socket := fills(t, "3.0", nil, consulSource(t, consul.Options{Address: listener.URL, Token: func() string { return "reader" }}, "web"))
	eventually(t, 15*time.Second, serves(t, socket, port80(4, 5, 6)...))
	fake.Hide("reader", instance(5).Node.Node)
	fake.Set("web", instance(4), instance(5), instance(6), instance(7)) // the stream tells of a change, and lacks web-5
	eventually(t, 15*time.Second, serves(t, socket, port80(4, 5, 6, 7)...))
	eventually(t, 15*time.Second, func() string {
		if kept := r.backend("web").Kept; len(kept) != 1 || !slices.Equal(kept[0].Endpoints, port80(5)) {
			return fmt.Sprintf("kept: %+v", kept)
		}
		return ""
	})
	during(t, 2*time.Second, serves(t, socket, port80(4, 5, 6, 7)...))
	if _, err := r.agent.Accept(t.Context(), "web", r.backend("web").Kept[0].ID, "ann"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 15*time.Second, serves(t, socket, port80(4, 6, 7)...))
	eventually(t, 15*time.Second, func() string { // what was read before counts as partial
		if s := r.agent.Status().Sources[0]; len(s.Parts) > 0 {
			return fmt.Sprintf("not whole: %+v", s.Parts)
		}
		return ""
	})
	fake.Set("web", instance(4), instance(5), instance(7)) // a legitimate deregistration, from then on
	eventually(t, 15*time.Second, serves(t, socket, port80(4, 7)...))
}
