package explain

import (
	"net/netip"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

var explainedAt = time.Date(2030, 11, 21, 10, 0, 0, 0, time.UTC)

// before is so long before the moment that is explained.
func before(d time.Duration) time.Time { return explainedAt.Add(-d) }

const explained = "10.0.0.1:80"

// serving is an instance where the address takes traffic.
func serving(name string) api.InstanceExplanation {
	return api.InstanceExplanation{
		InstanceSlot: api.InstanceSlot{Instance: name, Address: explained, State: slots.Ready}, Slot: "web3", Up: true, Traffic: true,
	}
}

// failingAt is one where it does not, for that reason.
func failingAt(name, why string) api.InstanceExplanation {
	i := serving(name)
	i.Traffic, i.Why = false, why
	return i
}

func answering(name string) api.SourceExplanation {
	return api.SourceExplanation{SourceStatus: api.SourceStatus{Name: name, State: "ok", InUse: true}, Answered: before(time.Second), Ready: 3}
}

func TestVerdictOfAnAddress(t *testing.T) {
	consul := answering("consul")
	mute := consul
	mute.State, mute.FailingSince = "failing", before(2*time.Minute)
	spare := answering("files")
	spare.InUse = false
	ready := &discovery.Endpoint{Addr: netip.MustParseAddrPort(explained)}
	as := func(s discovery.State, reason string) *discovery.Endpoint {
		return &discovery.Endpoint{Addr: ready.Addr, State: s, Reason: reason}
	}
	says := func(word, reason string) []api.SourceView {
		return []api.SourceView{{Source: "consul", Says: word, Reason: reason}}
	}
	held := api.GuardExplanation{State: "held", Why: "the sources lack 3 at once.", Hold: &api.Hold{Kind: guard.Removal}}
	live := serving("edge-1")
	live.HeldBy = api.HoldTakeover
	stuck := failingAt("edge-2", "it does not answer")
	away := failingAt("edge-3", "it does not answer")
	away.Up = false
	tests := []struct {
		name string
		x    api.AddressExplanation
		with func(*Explanation)
		want string
	}{
		{"free slot", api.AddressExplanation{Slot: "web7"}, nil, "Slot web7 is free: it holds no endpoint."},
		{"takeover", api.AddressExplanation{Address: explained, Instances: []api.InstanceExplanation{live}}, nil,
			"10.0.0.1:80 is live at edge-1 in slot web3, and no source has ever listed it: it is left alone until `slotsync accept web t123456`."},
		{"refused", api.AddressExplanation{Address: explained, Said: says(api.SaysRefused, discovery.Denied)}, nil,
			"10.0.0.1:80 never takes traffic: consul names it, and a network in deny has it (denied)."},
		{"refused for a reason of later", api.AddressExplanation{Address: explained, Said: says(api.SaysRefused, "odd")}, nil,
			"10.0.0.1:80 never takes traffic: consul names it, and it is refused (odd)."},
		{"gone and still live", api.AddressExplanation{Address: explained, Instances: []api.InstanceExplanation{failingAt("edge-2", "sessions")}}, nil,
			"10.0.0.1:80 is not wanted any more, and still ready at edge-2 in slot web3 (sessions)."},
		{"gone, but nobody knows at one", api.AddressExplanation{Address: explained, Instances: []api.InstanceExplanation{away}, Said: []api.SourceView{{Source: "consul", LastListed: before(time.Minute)}}}, nil,
			"10.0.0.1:80 is out of service: consul does not list it any more, and did so last 1m ago. It may still have traffic at edge-3: it does not answer."},
		{"listed by one that stands by", api.AddressExplanation{Address: explained, Said: []api.SourceView{{Source: "files", Says: api.SaysReady}}}, nil,
			"10.0.0.1:80 is listed by files, which stands by: other sources are in use."},
		{"listed and not in force", api.AddressExplanation{Address: explained, Said: says(api.SaysReady, "")},
			func(e *Explanation) { e.Guard.Why = "the answer of consul is being read." },
			"10.0.0.1:80 is listed by consul and not yet in force: the answer of consul is being read."},
		{"nothing known", api.AddressExplanation{Address: explained, Said: says(api.SaysNothing, "")},
			func(e *Explanation) { e.Phase, e.Guard.Why = api.PhaseWaiting, "consul has not answered yet." },
			"Nothing is known of 10.0.0.1:80: consul has not answered yet."},
		{"gone", api.AddressExplanation{Address: explained, Said: []api.SourceView{{Source: "files", LastListed: before(time.Hour)}, {Source: "consul", LastListed: before(3 * time.Minute)}}}, nil,
			"10.0.0.1:80 is out of service: consul does not list it any more, and did so last 3m ago."},
		{"never listed", api.AddressExplanation{Address: explained, Said: says(api.SaysUnlisted, "")},
			func(e *Explanation) { e.Sources = []api.SourceExplanation{mute} },
			"No source of web lists 10.0.0.1:80, or ever did: is the address right? consul does not answer for 2m: what it said last stays in force."},
		{"down", api.AddressExplanation{Address: explained, InForce: as(discovery.Down, "critical"), Slot: "web3", Said: says(api.SaysDown, "critical")}, nil,
			"10.0.0.1:80 is out of service: consul says that it is down (critical)."},
		{"overflow", api.AddressExplanation{Address: explained, InForce: ready, NoSlot: "overflow"}, nil,
			"10.0.0.1:80 has no slot, and takes no traffic: all 10 slots of www are taken."},
		{"no slots seen", api.AddressExplanation{Address: explained, InForce: ready, NoSlot: "unseen"}, nil,
			"10.0.0.1:80 has no slot yet: no instance has shown the slots of www."},
		{"leaving", api.AddressExplanation{Address: explained, InForce: as(discovery.Drain, "leaving"), Slot: "web3", LeavesAt: explainedAt.Add(20 * time.Second)}, nil,
			"10.0.0.1:80 leaves: it drains in slot web3 for another 20s."},
		{"drain", api.AddressExplanation{Address: explained, InForce: as(discovery.Drain, "maintenance"), Slot: "web3", Said: says(api.SaysDrain, "maintenance"),
			Instances: []api.InstanceExplanation{stuck}}, nil,
			"10.0.0.1:80 drains in slot web3: consul says so (maintenance); not at edge-2: it does not answer."},
		{"drain of a set that was stored", api.AddressExplanation{Address: explained, InForce: as(discovery.Drain, ""), Slot: "web3"}, nil,
			"10.0.0.1:80 drains in slot web3: its source says so."},
		{"ready everywhere", api.AddressExplanation{Address: explained, InForce: ready, Slot: "web3", Instances: []api.InstanceExplanation{serving("edge-1"), serving("edge-2")}}, nil,
			"10.0.0.1:80 takes traffic at edge-1 and edge-2 in slot web3."},
		{"ready at one", api.AddressExplanation{Address: explained, InForce: ready, Slot: "web3", Instances: []api.InstanceExplanation{serving("edge-1"), stuck}}, nil,
			"10.0.0.1:80 takes traffic at edge-1 in slot web3; not at edge-2: it does not answer."},
		{"ready nowhere", api.AddressExplanation{Address: explained, InForce: ready, Slot: "web3", Instances: []api.InstanceExplanation{stuck}}, nil,
			"10.0.0.1:80 should take traffic in slot web3, and does not; not at edge-2: it does not answer."},
		{"kept by the guard", api.AddressExplanation{Address: explained, InForce: ready, Held: true, Slot: "web3", Instances: []api.InstanceExplanation{serving("edge-1")}},
			func(e *Explanation) { e.Guard = held },
			"10.0.0.1:80 takes traffic at edge-1 in slot web3. It is only kept: the sources lack 3 at once."},
		{"others are kept", api.AddressExplanation{Address: explained, InForce: ready, Slot: "web3", Instances: []api.InstanceExplanation{serving("edge-1")}},
			func(e *Explanation) { e.Guard = held },
			"10.0.0.1:80 takes traffic at edge-1 in slot web3."},
		{"drained by an operator", api.AddressExplanation{Address: explained, InForce: as(discovery.Drain, "drained by an operator"), Slot: "web3", Said: says(api.SaysReady, ""),
			Overrides: []api.Override{{Kind: api.OverrideState, State: api.StateDrain, By: "ann", Reason: "disk"}}}, nil,
			"10.0.0.1:80 drains in slot web3: an operator says so (drained by an operator). An operator has it so: drain by ann: disk."},
		{"drained by its source, and weighed", api.AddressExplanation{Address: explained, InForce: as(discovery.Drain, "maintenance"), Slot: "web3", Said: says(api.SaysDrain, "maintenance"),
			Overrides: []api.Override{{Kind: api.OverrideWeight, Weight: "20%", By: "ann"}}}, nil,
			"10.0.0.1:80 drains in slot web3: consul says so (maintenance). An operator has it so: weight 20% by ann."},
		{"critical, and drained", api.AddressExplanation{Address: explained, InForce: as(discovery.Down, "critical"), Slot: "web3", Said: says(api.SaysDown, "critical"),
			Overrides: []api.Override{{Kind: api.OverrideState, State: api.StateDrain, By: "ann"}}}, nil,
			"10.0.0.1:80 is out of service: consul says that it is down (critical). An operator has it so: drain by ann."},
		{"kept", api.AddressExplanation{Address: explained, InForce: ready, Slot: "web3", Instances: []api.InstanceExplanation{serving("edge-1")},
			Kept: &api.KeptAddress{ID: "k123456", Source: "dns", Part: "A of t4.example.org", Reason: "server: SERVFAIL from 10.0.0.53", Since: explainedAt.Add(-time.Minute)}}, nil,
			"10.0.0.1:80 takes traffic at edge-1 in slot web3. It is kept: dns, A of t4.example.org has not been known to be without it for 1m (server: SERVFAIL from 10.0.0.53). `slotsync accept web k123456` has it go."},
		{"blocked by a takeover", api.AddressExplanation{Address: explained, InForce: ready, Slot: "web3"}, func(e *Explanation) { e.Blocked = true },
			"10.0.0.1:80 takes no traffic yet: nothing is written to www until `slotsync accept web t123456`, since no source ever listed any of the addresses that take traffic."},
		{"its source fails", api.AddressExplanation{Address: explained, InForce: ready, Slot: "web3", Instances: []api.InstanceExplanation{serving("edge-1")}},
			func(e *Explanation) { e.Sources = []api.SourceExplanation{mute} },
			"10.0.0.1:80 takes traffic at edge-1 in slot web3. consul does not answer for 2m: what it said last stays in force."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := Explanation{TakeoverID: "t123456", Explanation: api.Explanation{At: explainedAt, Name: "web", Backend: "www", Phase: api.PhaseLive, Slots: 10, Sources: []api.SourceExplanation{consul, spare}}}
			if test.with != nil {
				test.with(&e)
			}
			if got := (*Address)(&test.x).Words(&e); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestWhyAnInstanceDiffers(t *testing.T) {
	ready := &discovery.Endpoint{}
	drain, down := &discovery.Endpoint{State: discovery.Drain}, &discovery.Endpoint{State: discovery.Down}
	other := func(i *api.InstanceExplanation) { i.Address, i.State = "10.0.0.9:80", slots.Maint }
	tests := []struct {
		name string
		want *discovery.Endpoint
		with func(*api.InstanceExplanation)
		says string
	}{
		{"as it should be", ready, func(*api.InstanceExplanation) {}, ""},
		{"away and never seen", ready, func(i *api.InstanceExplanation) { i.Up, i.Address = false, "" }, "it does not answer"},
		{"away", ready, func(i *api.InstanceExplanation) { i.Up, i.Error, i.Seen = false, "absent", before(time.Minute) },
			"it does not answer (absent); 1m ago it was ready at 10.0.0.1:80"},
		{"away, and showed no address", ready, func(i *api.InstanceExplanation) { i.Up, i.Address, i.Seen = false, "", before(time.Minute) },
			"it does not answer; 1m ago it was ready at no address"},
		{"no backend", ready, func(i *api.InstanceExplanation) { i.Problem, i.Lacking = "it has no backend www", true }, "it has no backend www"},
		{"no slot", ready, func(i *api.InstanceExplanation) { i.Lacking = true }, "it has no slot web3"},
		{"external", ready, func(i *api.InstanceExplanation) {
			i.HeldBy, i.State, i.HeldSince = "external", slots.Drain, before(time.Hour)
		},
			"1h ago, somebody set it to drain; setting it ready, or slotsync server start, ends that"},
		{"takeover", ready, func(i *api.InstanceExplanation) { i.HeldBy, i.Address = api.HoldTakeover, "10.0.0.9:80" },
			"the slot holds 10.0.0.9:80, which no source has ever listed"},
		{"refused", ready, func(i *api.InstanceExplanation) { other(i); i.LastReply = "no_server: No such server." }, "HAProxy refuses: no_server: No such server."},
		{"paused", ready, func(i *api.InstanceExplanation) { other(i); i.PausedUntil = explainedAt.Add(time.Minute) },
			"somebody else keeps changing its slots: nothing is written for another 1m"},
		{"paused by somebody", ready, func(i *api.InstanceExplanation) {
			other(i)
			i.PausedUntil, i.PausedBy = explainedAt.Add(time.Minute), "ann"
		},
			"writing is paused for another 1m by ann"},
		{"a pause that is over", ready, func(i *api.InstanceExplanation) { other(i); i.PausedUntil = before(time.Minute) }, "it is still maint at 10.0.0.9:80"},
		{"sessions", ready, func(i *api.InstanceExplanation) { other(i); i.Waiting, i.Sessions = true, 3 }, "the slot waits for the sessions of 10.0.0.9:80 to end"},
		{"sessions that are not known", ready, func(i *api.InstanceExplanation) { other(i); i.Waiting, i.Sessions, i.Address = true, -1, "" },
			"the slot waits for the sessions of its last address to end"},
		{"another slot waits", ready, func(i *api.InstanceExplanation) { other(i); i.Waiting = true }, "it is still maint at 10.0.0.9:80"},
		{"not written yet", ready, func(i *api.InstanceExplanation) { i.Address, i.State = "", slots.Maint }, "it is still maint at no address"},
		{"check", ready, func(i *api.InstanceExplanation) { i.Check = "down" }, "HAProxy's check fails there"},
		{"check of one that drains", drain, func(i *api.InstanceExplanation) { i.Check, i.State = "down", slots.Drain }, ""},
		{"should drain", drain, func(*api.InstanceExplanation) {}, "it is still ready at 10.0.0.1:80"},
		{"down", down, func(i *api.InstanceExplanation) { i.State = slots.Maint }, ""},
		{"should be down", down, func(*api.InstanceExplanation) {}, "it is still ready at 10.0.0.1:80"},
		{"gone", nil, func(i *api.InstanceExplanation) { i.State = slots.Maint }, ""},
		{"gone, and the slot serves another", nil, func(i *api.InstanceExplanation) { i.Address = "10.0.0.9:80" }, ""},
		{"should be gone", nil, func(*api.InstanceExplanation) {}, "it is still ready at 10.0.0.1:80"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			i := serving("edge-1")
			test.with(&i)
			if got := (*Instance)(&i).Reason(explained, test.want, explainedAt); got != test.says {
				t.Errorf("got  %s\nwant %s", got, test.says)
			}
		})
	}
}

func TestServes(t *testing.T) {
	for name, with := range map[string]func(*api.InstanceExplanation){
		"lacking": func(i *api.InstanceExplanation) { i.Lacking = true },
		"other":   func(i *api.InstanceExplanation) { i.Address = "10.0.0.9:80" },
		"drain":   func(i *api.InstanceExplanation) { i.State = slots.Drain },
		"check":   func(i *api.InstanceExplanation) { i.Check = "down" },
	} {
		i := serving("edge-1")
		if !(*Instance)(&i).Serves(explained) {
			t.Error("it does not serve")
		}
		if with(&i); (*Instance)(&i).Serves(explained) {
			t.Errorf("%s: it serves", name)
		}
	}
}

func TestGuardInWords(t *testing.T) {
	gone := []string{"10.0.0.1:80", "10.0.0.2:80"}
	ends := explainedAt.Add(30 * time.Second)
	quiet := answering("consul")
	quiet.Ready = 0
	tests := []struct {
		name    string
		b       api.BackendStatus
		sources []api.SourceExplanation
		state   string
		want    string
	}{
		{"published", api.BackendStatus{Phase: api.PhaseLive, Endpoints: make([]discovery.Endpoint, 3)}, nil, "published",
			"3 endpoints are in force, as the sources say; nothing is held."},
		{"restored", api.BackendStatus{Phase: api.PhaseRestored, Endpoints: make([]discovery.Endpoint, 3)}, nil, "restored",
			"3 endpoints of the state directory are in force: no source has answered since the start."},
		{"turnover", api.BackendStatus{Phase: api.PhaseLive, Turnover: &api.Turnover{EndsAt: ends, Leaving: gone}}, nil, "turnover",
			"the 2 endpoints of before stay besides those that replace them until one of these is up, for another 30s at most."},
		{"waiting for an answer", api.BackendStatus{Phase: api.PhaseWaiting}, []api.SourceExplanation{{SourceStatus: api.SourceStatus{Name: "consul"}}}, "waiting",
			"no slot is touched: consul has not answered yet."},
		{"waiting, failing", api.BackendStatus{Phase: api.PhaseWaiting}, []api.SourceExplanation{{SourceStatus: api.SourceStatus{Name: "consul", LastError: "auth: no"}}, {SourceStatus: api.SourceStatus{Name: "file"}}}, "waiting",
			"no slot is touched: consul does not answer (auth: no); file has not answered yet."},
		{"waiting, empty", api.BackendStatus{Phase: api.PhaseWaiting}, []api.SourceExplanation{quiet}, "waiting",
			"no slot is touched: consul has never listed an endpoint: is the name right?"},
		{"waiting for slots", api.BackendStatus{Phase: api.PhaseWaiting}, []api.SourceExplanation{answering("consul")}, "waiting",
			"no slot is touched before the slots are known."},
		{"empty", api.BackendStatus{Hold: &api.Hold{ID: "h123456", Kind: guard.Empty, ReleasesAt: ends, Confirmations: 1, WouldRemove: gone}}, nil, "held",
			"the sources list nothing any more, all at once: the last 2 stay in force for another 30s if it is confirmed (1 of 3), or until `slotsync accept web h123456`."},
		{"removal", api.BackendStatus{Hold: &api.Hold{ID: "h123456", Kind: guard.Removal, ReleasesAt: ends, Confirmations: 5, WouldRemove: gone}}, nil, "held",
			"the sources lack 2 at once: they stay in force for another 30s if it is confirmed (3 of 3), or until `slotsync accept web h123456`."},
		{"never", api.BackendStatus{Hold: &api.Hold{ID: "h123456", Kind: guard.Empty, WouldRemove: gone}}, nil, "held",
			"the sources list nothing any more, all at once: the last 2 stay in force until `slotsync accept web h123456`."},
		{"takeover", api.BackendStatus{Hold: &api.Hold{ID: "h123456", Kind: api.HoldTakeover, WouldRemove: gone}}, nil, "held",
			"2 live addresses are listed by no source: they are left alone until `slotsync accept web h123456`."},
		{"unhealthy", api.BackendStatus{Hold: &api.Hold{ID: "h123456", Kind: guard.Unhealthy, WouldRemove: gone}}, nil, "held",
			"every endpoint that is registered is unhealthy: the 2 that served last go on as long as that lasts, or until `slotsync accept web h123456`."},
		{"of later", api.BackendStatus{Hold: &api.Hold{ID: "h123456", Kind: "odd", WouldRemove: gone}}, nil, "held",
			"held (odd): 2 stay in force until `slotsync accept web h123456`."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := Explanation{Explanation: api.Explanation{At: explainedAt, Name: "web", Sources: test.sources}}
			g := Guard(test.b, &e)
			if g.State != test.state || g.Why != test.want {
				t.Errorf("got  %s: %s\nwant %s: %s", g.State, g.Why, test.state, test.want)
			}
			timed := g.Hold != nil && (g.Hold.Kind == guard.Empty || g.Hold.Kind == guard.Removal)
			if (g.ConfirmationsNeeded == 3) != timed {
				t.Errorf("%d confirmations are needed", g.ConfirmationsNeeded)
			}
		})
	}
}

func TestVerdictOfABackend(t *testing.T) {
	up := []api.InstanceStatus{{Name: "edge-1", Up: true, InSync: true}}
	until := explainedAt.Add(time.Minute)
	three := make([]discovery.Endpoint, 3)
	tests := []struct {
		name      string
		b         api.BackendStatus
		guard     api.GuardExplanation
		instances []api.InstanceStatus
		want      string
	}{
		{"fine", api.BackendStatus{Endpoints: three}, api.GuardExplanation{State: "published"}, up, "web is as its sources say: 3 endpoints in 10 slots."},
		{"instances", api.BackendStatus{Endpoints: three}, api.GuardExplanation{State: "published"},
			[]api.InstanceStatus{{Name: "edge-1", LastError: "absent: gone"}, {Name: "edge-2", Up: true}},
			"web is as its sources say: 3 endpoints in 10 slots. edge-1 does not answer (absent: gone). edge-2 is not in step yet."},
		{"problem", api.BackendStatus{Problem: "edge-1 has no backend www."}, api.GuardExplanation{State: "published"}, up,
			"web cannot be filled: edge-1 has no backend www."},
		{"problem that is a question", api.BackendStatus{Problem: "is the name right?"}, api.GuardExplanation{State: "waiting"}, up,
			"web cannot be filled: is the name right?"},
		{"waiting", api.BackendStatus{}, api.GuardExplanation{State: "waiting", Why: "no slot is touched."}, up, "web waits: no slot is touched."},
		{"restored", api.BackendStatus{}, api.GuardExplanation{State: "restored", Why: "3 endpoints."}, up, "web waits: 3 endpoints."},
		{"held", api.BackendStatus{}, api.GuardExplanation{State: "held", Why: "2 stay."}, up, "web is held: 2 stay."},
		{"turnover", api.BackendStatus{}, api.GuardExplanation{State: "turnover", Why: "2 stay."}, up, "web changes over: 2 stay."},
		{"overflow", api.BackendStatus{Overflow: three, NeedReload: &api.NeedReload{Why: "max_slots is reached"}}, api.GuardExplanation{State: "published"}, up,
			"web lacks slots: 3 endpoints have none of its 10 (max_slots is reached)."},
		{"overflow here and there", api.BackendStatus{Overflow: three}, api.GuardExplanation{State: "published"}, up,
			"web lacks slots: 3 endpoints have none of its 10."},
		{"paused by somebody", api.BackendStatus{Paused: &until, PausedBy: "ann"}, api.GuardExplanation{State: "published"}, up,
			"web is paused for another 1m by ann: nothing is written."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := Explanation{Explanation: api.Explanation{At: explainedAt, Name: "web", Slots: 10, Guard: test.guard}}
			if got := BackendVerdict(test.b, test.instances, &e); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestListOf(t *testing.T) {
	for want, words := range map[string][]string{
		"":                         nil,
		"a":                        {"a"},
		"a and b":                  {"a", "b"},
		"a, b, c, d and e":         {"a", "b", "c", "d", "e"},
		"a, b, c, d, e and 2 more": {"a", "b", "c", "d", "e", "f", "g"},
	} {
		if got := listOf(words); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
