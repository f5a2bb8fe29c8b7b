package demo

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/demo/traffic"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/slots"
)

var demoStart = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// demoStatus is a status of two HAProxies with four slots, the second one
// behind the first.
func demoStatus() api.Status {
	slot := func(name, first string, firstState slots.Class, second string, secondState slots.Class) api.SlotStatus {
		return api.SlotStatus{Name: name, Instances: []api.InstanceSlot{
			{Instance: "edge-1", Address: first, State: firstState},
			{Instance: "edge-2", Address: second, State: secondState},
		}}
	}
	return api.Status{
		Instances: []api.InstanceStatus{
			{Name: "edge-1", Up: true, InSync: true},
			{Name: "edge-2", Up: true, LagSeconds: 0.254},
		},
		Backends: []api.BackendStatus{{
			Name: "web",
			Slots: []api.SlotStatus{
				slot("web1", "127.0.0.1:8001", slots.Ready, "127.0.0.1:8001", slots.Ready),
				slot("web2", "127.0.0.1:8002", slots.Drain, "127.0.0.1:8002", slots.Ready),
				slot("web3", "127.0.0.1:8003", slots.Maint, "127.0.0.1:1", slots.Maint),
				slot("web4", "127.0.0.1:9999", slots.Ready, "", slots.Maint),
			},
			Hold: &api.Hold{
				Kind: "removal", ReleasesAt: demoStart.Add(14 * time.Second), Confirmations: 2,
				WouldRemove: []string{"127.0.0.1:8002", "127.0.0.1:8001"},
			},
		}},
	}
}

func demoFactsFor(status api.Status) facts {
	return facts{
		Began: demoStart, Now: demoStart.Add(12300 * time.Millisecond), Status: status, DNS: "DNS names 2",
		Tally: traffic.Tally{ByTarget: map[string]traffic.Count{"edge-1": {Requests: 1204}, "edge-2": {Requests: 99, Failed: 2, Excused: 3}}},
		Names: map[netip.AddrPort]string{
			netip.MustParseAddrPort("127.0.0.1:8001"): "A",
			netip.MustParseAddrPort("127.0.0.1:8002"): "B",
			netip.MustParseAddrPort("127.0.0.1:8003"): "C",
		},
	}
}

func TestDemoView(t *testing.T) {
	quiet := demoStatus()
	quiet.Backends[0].Hold = nil
	quiet.Instances[1] = api.InstanceStatus{Name: "edge-2"}
	forever := demoStatus()
	forever.Backends[0].Hold.ReleasesAt = time.Time{}
	grown := demoStatus()
	grown.Backends[0].Hold = nil
	for range 13 {
		grown.Backends[0].Slots = append(grown.Backends[0].Slots, api.SlotStatus{Instances: []api.InstanceSlot{
			{Instance: "edge-1", Address: "127.0.0.1:1", State: slots.Maint}, {Instance: "edge-2", Lacking: true},
		}})
	}
	dead := demoFactsFor(quiet)
	dead.Dead = map[string]bool{"edge-2": true}
	tests := []struct {
		name  string
		facts facts
		want  []string
	}{
		{"behind and held", demoFactsFor(demoStatus()), []string{
			"  edge-1  [A b . ?]  in sync       1204 requests, 0 failed",
			"  edge-2  [A B . .]  lag 0.25 s      99 requests, 2 failed",
			"   12.3s  DNS names 2   held for 1.7 s more: without A B, confirmed 2 times",
		}},
		{"not reached", demoFactsFor(quiet), []string{
			"  edge-1  [A b . ?]  in sync       1204 requests, 0 failed",
			"  edge-2  [A B . .]  no answer       99 requests, 2 failed",
			"   12.3s  DNS names 2",
		}},
		{"killed", dead, []string{
			"  edge-1  [A b . ?]  in sync       1204 requests, 0 failed",
			"  edge-2  [A B . .]  dead            99 requests, 2 failed",
			"   12.3s  DNS names 2",
		}},
		{"one has more slots", demoFactsFor(grown), []string{
			"  edge-1  [Ab.?.............]  in sync       1204 requests, 0 failed",
			"  edge-2  [A B . .]  lag 0.25 s      99 requests, 2 failed",
			"   12.3s  DNS names 2",
		}},
		{"held for ever", demoFactsFor(forever), []string{
			"  edge-1  [A b . ?]  in sync       1204 requests, 0 failed",
			"  edge-2  [A B . .]  lag 0.25 s      99 requests, 2 failed",
			"   12.3s  DNS names 2   held until somebody accepts it: without A B, confirmed 2 times",
		}},
		{"nothing known", facts{Began: demoStart, Now: demoStart}, []string{"    0.0s  "}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, style{}.view(test.facts)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDemoViewInColour(t *testing.T) {
	plain := style{}.view(demoFactsFor(demoStatus()))
	coloured := style{Colour: true}.view(demoFactsFor(demoStatus()))
	if !strings.Contains(coloured[0], "[\x1b[32mA\x1b[0m ") || !strings.Contains(coloured[1], "\x1b[31m2 failed\x1b[0m") {
		t.Errorf("%q", coloured)
	}
	for i, line := range coloured {
		if got := stripColour(line); got != plain[i] {
			t.Errorf("without its colours %q, want %q", got, plain[i])
		}
	}
}

func stripColour(s string) string {
	for _, code := range []string{"0", "1", "2", "31", "32", "33"} {
		s = strings.ReplaceAll(s, "\x1b["+code+"m", "")
	}
	return s
}

func demoResult() summary {
	return summary{
		Tally:   traffic.Tally{Count: traffic.Count{Requests: 1000, Excused: 20}},
		Slow:    traffic.Tally{Count: traffic.Count{Requests: 40}},
		Windows: []traffic.Window{{Target: "edge-2", From: demoStart.Add(9 * time.Second), To: demoStart.Add(10500 * time.Millisecond)}},
		Began:   demoStart,
		Served:  []time.Duration{200 * time.Millisecond, 90 * time.Millisecond, 101 * time.Millisecond},
		Agent:   []time.Duration{3 * time.Millisecond, 5500 * time.Microsecond, 4 * time.Millisecond},
	}
}

func TestDemoSummary(t *testing.T) {
	failed := demoResult()
	failed.Tally.Add(traffic.Request{Began: demoStart, Target: "edge-1", Status: 503, Server: "B"}, failed.Windows)
	want := []string{
		"",
		"Summary",
		"   1040 requests, 0 failed (40 of them took 300ms; 20 more found a dead HAProxy)",
		"   edge-2 was dead from 9.00 s to 10.50 s; what failed there meanwhile is not counted",
		"   propagation, change of the DNS records -> every slot of an HAProxy read back as it should be: median 101.0 ms, worst 200.0 ms, n=3",
		"   of that, slotsync's own part, DNS answer -> slots read back:                                   median 4.0 ms, worst 5.5 ms, n=3",
		"   (one value for each change and HAProxy; the wait for the next question to DNS, 200ms to 1s, is in the first only; held removals and what waits for a reload are in none)",
		"   failed: no complete answer, or not 2xx or 3xx; no request is ever repeated, and an instance that has stopped answers 503",
	}
	if diff := cmp.Diff(want, style{}.summary(demoResult())); diff != "" {
		t.Error(diff)
	}
	want[2] = "   1041 requests, 1 failed (40 of them took 300ms; 20 more found a dead HAProxy)"
	want = append(want,
		`   failed: 12:00:00.000 edge-1 (new connection): status 503 from "B"`,
		"   FAILED: 1 of 1041 requests failed")
	if diff := cmp.Diff(want, style{}.summary(failed)); diff != "" {
		t.Error(diff)
	}
}

func TestDemoVerdict(t *testing.T) {
	unseen := errors.New("not seen")
	tests := []struct {
		name   string
		change func(*summary)
		want   string
	}{
		{"fine", func(*summary) {}, ""},
		{"one 503", func(m *summary) { m.Tally.Add(traffic.Request{Status: 503}, nil) }, "1 of 1041 requests failed"},
		{"one slow 503", func(m *summary) { m.Slow.Add(traffic.Request{Status: 503}, nil) }, "1 of 1041 requests failed"},
		{"nothing asked", func(m *summary) { *m = summary{} }, "no request was made"},
		{"something not seen", func(m *summary) { m.Problem = unseen }, "not seen"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := demoResult()
			test.change(&m)
			got := ""
			if err := m.verdict(); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestDemoScreen(t *testing.T) {
	t.Run("terminal", func(t *testing.T) {
		var out strings.Builder
		s := &screen{out: &out, live: true}
		s.Show([]string{"a", "b"}, demoStart)
		s.Say("chapter")
		s.Leave()
		s.Say("end")
		want := textfmt.WrapOff + "a\nb\n" + textfmt.WrapOn +
			textfmt.LineUp + textfmt.LineUp + textfmt.ClearBelow + "chapter\n" + textfmt.WrapOff + "a\nb\n" + textfmt.WrapOn +
			"end\n"
		if out.String() != want {
			t.Errorf("got %q, want %q", out.String(), want)
		}
	})
	t.Run("pipe", func(t *testing.T) {
		var out strings.Builder
		s := newScreen(&out, false)
		for i := range 31 {
			s.Show([]string{"a", "b"}, demoStart.Add(time.Duration(i)*100*time.Millisecond))
		}
		s.Say("end")
		if want := strings.Repeat("a\nb\n", 3) + "end\n"; out.String() != want {
			t.Errorf("got %q in 3 s, want %q", out.String(), want)
		}
		if s.Style.Colour {
			t.Error("coloured")
		}
	})
}
