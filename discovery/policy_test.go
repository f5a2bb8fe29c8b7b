package discovery_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/discovery"
)

func named(addr, name string) discovery.Endpoint {
	return discovery.Endpoint{Addr: netip.MustParseAddrPort(addr), Name: name}
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range list {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

// dual is two hosts with both families, and one with each alone.
var dual = []discovery.Endpoint{
	named("10.0.0.1:80", "a"), named("[2001:db8::1]:80", "a"),
	named("10.0.0.2:80", "b"), named("[2001:db8::2]:80", "c"),
}

func TestPolicy(t *testing.T) {
	tests := []struct {
		name     string
		policy   discovery.Policy
		kept     string // addresses
		rejected string // reason and address
	}{
		{"zero", discovery.Policy{}, "10.0.0.1:80 10.0.0.2:80 [2001:db8::1]:80 [2001:db8::2]:80", ""},
		{"any", discovery.Policy{Family: discovery.AnyFamily}, "10.0.0.1:80 10.0.0.2:80 [2001:db8::1]:80 [2001:db8::2]:80", ""},
		{"v4", discovery.Policy{Family: discovery.OnlyV4}, "10.0.0.1:80 10.0.0.2:80", "family [2001:db8::1]:80, family [2001:db8::2]:80"},
		{"v6", discovery.Policy{Family: discovery.OnlyV6}, "[2001:db8::1]:80 [2001:db8::2]:80", "family 10.0.0.1:80, family 10.0.0.2:80"},
		{"prefer-v4 leaves out what has both", discovery.Policy{Family: discovery.PreferV4},
			"10.0.0.1:80 10.0.0.2:80 [2001:db8::2]:80", "family [2001:db8::1]:80"},
		{"allow", discovery.Policy{Allow: prefixes("10.0.0.0/31", "2001:db8::2/128")},
			"10.0.0.1:80 [2001:db8::2]:80", "not_allowed [2001:db8::1]:80, not_allowed 10.0.0.2:80"},
		{"deny", discovery.Policy{Deny: prefixes("2001:db8::/32")},
			"10.0.0.1:80 10.0.0.2:80", "denied [2001:db8::1]:80, denied [2001:db8::2]:80"},
		{"deny wins over allow", discovery.Policy{Allow: prefixes("10.0.0.0/8"), Deny: prefixes("10.0.0.2/32")},
			"10.0.0.1:80", "not_allowed [2001:db8::1]:80, denied 10.0.0.2:80, not_allowed [2001:db8::2]:80"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			src := test.policy.Restrict(confirming(func() (discovery.Reading, error) {
				return discovery.Reading{Endpoints: dual, Note: "index 4"}, nil
			}))
			r, err := discovery.Confirm(t.Context(), src)
			if err != nil || r.Weak || r.Note != "index 4" {
				t.Fatalf("%+v, %v", r, err)
			}
			var kept, rejected []string
			for _, e := range r.Endpoints {
				kept = append(kept, e.Addr.String())
			}
			for _, x := range r.Rejected {
				rejected = append(rejected, x.Reason+" "+x.Value)
				if !slices.Contains(discovery.Reasons[:], x.Reason) {
					t.Errorf("the reason %q is not listed", x.Reason)
				}
			}
			if got := strings.Join(kept, " "); got != test.kept {
				t.Errorf("kept %s, want %s", got, test.kept)
			}
			if got := strings.Join(rejected, ", "); got != test.rejected {
				t.Errorf("rejected %s, want %s", got, test.rejected)
			}
			if test.policy.IsZero() != (test.rejected == "") {
				t.Errorf("IsZero is %t", test.policy.IsZero())
			}
		})
	}
}

// A policy that leaves nothing is a mistake more often than a wish.
func TestPolicyThatRefusesAllRemovesNothing(t *testing.T) {
	before := []discovery.Rejection{{Reason: discovery.BadPort, Name: "z", Value: "0"}}
	answer := discovery.Reading{Endpoints: dual, Rejected: before, Note: "index 4"}
	policy := discovery.Policy{Allow: prefixes("192.0.2.0/24")}
	src := policy.Restrict(&scripted{answer: func(context.Context, int) (discovery.Reading, error) { return answer, nil }})
	r, err := src.Next(t.Context())
	if err != nil || !r.Weak || len(r.Endpoints) != 0 || len(r.Rejected) != 5 || !strings.Contains(r.Note, "index 4; weak: all ") {
		t.Errorf("%+v, %v", r, err)
	}
	if len(before) != 1 || len(answer.Endpoints) != 4 {
		t.Error("it wrote to what the source holds")
	}
	answer = discovery.Reading{Note: "index 5"}
	if r, err := src.Next(t.Context()); err != nil || r.Weak || r.Note != "index 5" {
		t.Errorf("a source that lists nothing is believed as before: %+v, %v", r, err)
	}
}

func TestPolicyPassesOn(t *testing.T) {
	failed := discovery.Errorf(discovery.Auth, "no")
	bare := confirming(func() (discovery.Reading, error) { return discovery.Reading{}, failed })
	if src := (discovery.Policy{}).Restrict(bare); src.String() != "confirming" {
		t.Errorf("%T", src)
	}
	src := discovery.Policy{Family: discovery.OnlyV4}.Restrict(bare)
	if _, err := src.Confirm(t.Context()); err != failed {
		t.Errorf("the error became %v", err)
	}
	if got := discovery.ActivityOf(src); !cmp.Equal(got, discovery.Activity{}) || src.String() != "confirming" {
		t.Errorf("%q does %+v", src, got)
	}
	synctest.Test(t, func(t *testing.T) {
		system := &system{up: true}
		inner := &member{system: system, activity: discovery.Activity{Question: "GET /", Remarks: []string{"polled"}}}
		src := discovery.Policy{Family: discovery.OnlyV4}.Restrict(inner)
		if got := discovery.ActivityOf(src); !cmp.Equal(got, inner.activity) {
			t.Errorf("it does %+v", got)
		}
		start := time.Now()
		src.(discovery.Recoverer).Recovered(t.Context(), failed)
		if took := time.Since(start); took < 800*time.Millisecond || took > 1300*time.Millisecond {
			t.Errorf("its recovery took %s", took)
		}
		brief, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start = time.Now()
		discovery.Policy{Family: discovery.OnlyV4}.Restrict(bare).(discovery.Recoverer).Recovered(brief, failed)
		if took := time.Since(start); took != time.Minute {
			t.Errorf("one that cannot tell waited %s", took)
		}
	})
}

// Whatever the policy is: each endpoint is kept or named with a reason, and what
// is kept is within the networks.
func TestPolicyLosesNothing(t *testing.T) {
	pool := prefixes("10.0.0.0/30", "10.0.0.2/31", "2001:db8::/126", "0.0.0.0/0", "::/0")
	rapid.Check(t, func(t *rapid.T) {
		p := discovery.Policy{
			Allow:  rapid.SliceOfN(rapid.SampledFrom(pool), 0, 2).Draw(t, "allow"),
			Deny:   rapid.SliceOfN(rapid.SampledFrom(pool), 0, 1).Draw(t, "deny"),
			Family: rapid.SampledFrom([]string{"", discovery.AnyFamily, discovery.OnlyV4, discovery.OnlyV6, discovery.PreferV4}).Draw(t, "family"),
		}
		eps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) discovery.Endpoint {
			a := netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(1, 5).Draw(t, "host"))})
			if rapid.Bool().Draw(t, "v6") {
				a = netip.MustParseAddr("2001:db8::").Next()
			}
			return discovery.Endpoint{Addr: netip.AddrPortFrom(a, 80), Name: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name")}
		}), 0, 8).Draw(t, "endpoints")
		all := discovery.Normalize(eps)
		r, err := discovery.Confirm(context.Background(), p.Restrict(confirming(func() (discovery.Reading, error) {
			return discovery.Reading{Endpoints: all}, nil
		})))
		if err != nil || len(r.Endpoints)+len(r.Rejected) != len(all) {
			t.Fatalf("%d of %d, %d rejected: %v", len(r.Endpoints), len(all), len(r.Rejected), err)
		}
		if r.Weak != (len(all) > 0 && len(r.Endpoints) == 0) {
			t.Fatalf("weak is %t with %d of %d", r.Weak, len(r.Endpoints), len(all))
		}
		for _, e := range r.Endpoints {
			in := func(n netip.Prefix) bool { return n.Contains(e.Addr.Addr()) }
			if len(p.Allow) > 0 && !slices.ContainsFunc(p.Allow, in) || slices.ContainsFunc(p.Deny, in) {
				t.Fatalf("%s passes %+v", e, p)
			}
		}
	})
}
