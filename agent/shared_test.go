package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// Two templates of one backend, the second for backups, are filled by two entries, each
// with its own; state files and restarts have both.
func TestTwoTemplatesOfOneBackend(t *testing.T) {
	a := newFake("a", "web", 3)
	a.servers["web"] = append(templateOf(slots.Range{Prefix: "web", First: 1, Last: 3}, "slot.invalid"),
		templateOf(slots.Range{Prefix: "bak", First: 1, Last: 2}, "slot.invalid")...)
	inWorld(t, func(w *world) {
		backup := newSource(90, 91)
		w.opts.Backends = append(w.opts.Backends, Backend{Name: "backup", Proxy: "web", Prefix: "bak", Feeds: []Feed{{Name: "test", Source: backup, Key: "b"}}})
		w.source.reading = discovery.Complete(eps(80, 81)...)
		w.start()
		const both = "web1=:80 web2=:81 bak1=:90 bak2=:91"
		w.want(a, both)
		w.wantSync("a", true)
		if n := len(a.saved["web"]); n != 5 {
			t.Errorf("%d servers in the state file", n)
		}
		backup.list(91)
		w.source.list(80, 82)
		w.settle()
		w.want(a, "web1=:80 web3=:82 bak2=:91")
		if _, err := w.agent.SetState(w.t.Context(), "backup", "bak2", api.StateDrain, api.Who{}); err != nil {
			t.Error(err)
		}
		w.pass(time.Minute)
		w.want(a, "web1=:80 web3=:82 bak2=:91/drain")
		a.with(func() {
			a.process.Pid++
			for i := range a.servers["web"] {
				a.servers["web"][i].Addr, a.servers["web"][i].Class = parked, slots.Maint
			}
		})
		w.pass(time.Second)
		w.want(a, "web1=:80 web3=:82 bak2=:91/drain")
		w.wantSync("a", true)
	}, a)
}

func TestSharedBackendsNeedSlotsOfTheirOwn(t *testing.T) {
	a, b := newFake("a", "web", 3), newFake("b", "web", 3)
	inWorld(t, func(w *world) {
		for _, test := range []struct {
			one, other string
			at         []string
			want       string
		}{
			{"web", "bak", nil, ""},
			{"web", "", nil, "each needs `slots:`"},
			{"web", "web", nil, "of its own"},
			{"web", "web1", nil, "names of the same servers"},
			{"web", "web1-", nil, ""},
			{"web", "web", []string{"b"}, ""},
		} {
			opts := w.opts
			first := opts.Backends[0]
			first.Prefix = test.one
			second := first
			second.Name, second.Prefix = "other", test.other
			if test.at != nil {
				first.Instances, second.Instances = []string{"a"}, test.at
			}
			opts.Backends = []Backend{first, second}
			_, err := New(opts)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q and %q: %v", test.one, test.other, err)
			}
		}
	}, a, b)
}
