package slots_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/slots"
)

// Repair: whatever state an instance is in, it becomes what is wanted, without
// taking out more than a quarter of what it serves.
func TestRepairConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(t, "slots")
		in, want := drawInstance(t, n, 0), drawTargets(t, rapid.IntRange(0, 12).Draw(t, "targets"))
		checkRepair(t, &in, want, all)
	})
}

func TestRepairConvergesWhenPlansAreAppliedInPart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(t, "slots")
		in, want := drawInstance(t, n, 0), drawTargets(t, n)
		checkRepair(t, &in, want, func(n int) int { return rapid.IntRange(1, n).Draw(t, "applied") })
	})
}

func checkRepair(t interface{ Fatal(...any) }, in *instance, want []slots.Target, most func(int) int) {
	if err := in.repair(want, most); err != nil {
		t.Fatal(err)
	}
	if plan := slots.Diff("web", "web", *in, want); !isDone(plan) {
		t.Fatal("something is left to do:", plan)
	}
	if drifted := slots.Drifted(*in, want); len(drifted) > 0 {
		t.Fatal("done, and drifted:", drifted)
	}
}

func TestRepairOfPermutations(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5, 8, 31, 100} {
		for seed := range uint64(20) {
			in, want := shuffled(n, seed)
			checkRepair(t, &in, want, all)
		}
	}
}

// Re-use: a slot gets another address only when its sessions have ended, and
// then it does.
func TestReuseOnlyWhenIdle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "slots")
		in, want := drawInstance(t, n, 2), drawTargets(t, n)
		if err := in.repair(want, all); err != nil {
			t.Fatal(err)
		}
		endSessions(in)
		checkRepair(t, &in, want, all)
	})
}

func TestRepairConvergesWithFewerSlotsThanTargets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, want := drawInstance(t, 6, 0), drawTargets(t, 12)
		checkRepair(t, &in, want, all)
		for _, w := range slots.Missing(in, want) {
			if w.Leave || !w.Addr.IsValid() || w.Dynamic || slices.ContainsFunc(in, func(s slots.Server) bool { return s.Number == w.Number }) {
				t.Fatalf("%v is not missing", w)
			}
		}
	})
}

// Gains go before losses: a plan without moves never leaves fewer slots ready
// than there were before or will be after.
func TestGainsGoBeforeLosses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := instance(unused(40))
		table := slots.Adopt([][]slots.Server{in}, nil, nil, epoch)
		table, _ = table.Assign(drawEndpoints(t, 16, "before"), epoch)
		checkRepair(t, &in, table.Targets(nil), all)
		table, _ = table.Assign(drawEndpoints(t, 16, "after"), epoch)
		want := table.Targets(nil)
		count := func() (n int) {
			for _, s := range in {
				if s.Class == slots.Ready {
					n++
				}
			}
			return n
		}
		before, least := count(), count()
		plan := slots.Diff("web", "web", in, want)
		for _, c := range plan.Changes {
			if err := in.apply(c, want, placeholder); err != nil {
				t.Fatal(err)
			}
			least = min(least, count())
		}
		if least < min(before, count()) {
			t.Fatalf("%d ready on the way from %d to %d", least, before, count())
		}
		checkRepair(t, &in, want, all)
	})
}

// Restarting the agent writes nothing when nothing changed.
func TestRestartWritesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := instance(unused(12))
		known := drawEndpoints(t, 12, "known")
		table := slots.Adopt([][]slots.Server{in}, nil, nil, epoch)
		table, _ = table.Assign(known, epoch)
		weights := slots.Scale(known)
		checkRepair(t, &in, table.Targets(weights), all)
		again, surplus := slots.Adopt([][]slots.Server{in}, known, nil, epoch).Assign(known, epoch)
		if plan := slots.Diff("web", "web", in, again.Targets(weights)); !isDone(plan) || len(surplus) > 0 {
			t.Fatalf("%+v, surplus %v", plan, surplus)
		}
	})
}

// FuzzDiff makes of each two bytes what a slot is and should be, and of a last
// one how many slots are of the template. Of the others some are to be added.
func FuzzDiff(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x12, 0x22, 0x22, 0x12})
	f.Add([]byte{0x12, 0x22, 0x22, 0x32, 0x32, 0x12, 0x40, 0x00})
	f.Add([]byte{0x12, 0x22, 0x12, 0x02, 0x02, 0x12, 0xf2, 0x31, 0x21, 0x40})
	f.Add([]byte{0x12, 0x12, 0x00, 0x22, 0x32, 0x00, 0x00, 0x32, 0x01})
	f.Add([]byte{0x22, 0x12, 0x12, 0x22, 0x33, 0x00, 0x31, 0x00, 0x02})
	f.Fuzz(func(t *testing.T, b []byte) {
		in := instance(unused(min(len(b)/2, 64)))
		want := make([]slots.Target, len(in))
		listed := map[byte]bool{0: true}
		for i := range in {
			is, should := b[2*i], b[2*i+1]
			if is>>4 != 0 {
				in[i].Addr = addr(int(is >> 4))
			}
			in[i].Class, in[i].Weight = slots.Class(is&3%3), int(is>>2&3)
			want[i] = slots.Target{Number: in[i].Number, Leave: should == 0xff}
			if !listed[should>>4] && !want[i].Leave {
				listed[should>>4] = true
				want[i].Addr, want[i].Class = addr(int(should>>4)), slots.Class(should&3%3)
				want[i].Weight = int(should >> 2 & 3)
			}
		}
		if len(b)%2 == 1 {
			in = addedAfter(in, want, int(b[len(b)-1])%(len(in)+1))
		}
		checkRepair(t, &in, want, all)
	})
}

// addedAfter makes the slots after the first n dynamic; those in maint are yet to
// be added.
func addedAfter(in instance, want []slots.Target, n int) instance {
	for i := range in[n:] {
		in[n+i].Disabled, in[n+i].FQDN, want[n+i].Dynamic = false, "", true
	}
	have := slices.Clone(in[:n])
	for _, s := range in[n:] {
		if s.Class != slots.Maint {
			have = append(have, s)
		}
	}
	return have
}

func BenchmarkDiff1000(b *testing.B) {
	in, want := shuffled(1000, 1)
	for b.Loop() {
		slots.Diff("web", "web", in, want)
	}
}

func BenchmarkDiff1000InSync(b *testing.B) {
	in, want := shuffled(1000, 1)
	for i := range in {
		in[i].Addr = want[i].Addr
	}
	for b.Loop() {
		slots.Diff("web", "web", in, want)
	}
}

// isDone reports whether nothing is left to do but what the instance cannot hold (see [slots.Missing]).
func isDone(p slots.Plan) bool { return len(p.Changes) == 0 && len(p.Waiting) == 0 }
