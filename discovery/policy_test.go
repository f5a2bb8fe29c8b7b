package discovery_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

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
			eps, refused := test.policy.Select(dual)
			var kept, rejected []string
			for _, e := range discovery.Normalize(eps) {
				kept = append(kept, e.Addr.String())
			}
			for _, x := range refused {
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

// What a network refuses is not there for the preference: the other address of that
// name is the one that can be used.
func TestPolicyDeniesBeforeItPrefers(t *testing.T) {
	for name, p := range map[string]discovery.Policy{
		"denied":      {Family: discovery.PreferV4, Deny: prefixes("10.0.0.1/32")},
		"not allowed": {Family: discovery.PreferV4, Allow: prefixes("10.0.0.2/32", "2001:db8::/32")},
	} {
		for order, eps := range map[string][]discovery.Endpoint{"as listed": dual, "the other way round": reversed(dual)} {
			t.Run(name+" "+order, func(t *testing.T) {
				before := slices.Clone(eps)
				kept, refused := p.Select(eps)
				var got []string
				for _, e := range discovery.Normalize(kept) {
					got = append(got, e.Addr.String())
				}
				if want := "10.0.0.2:80 [2001:db8::1]:80 [2001:db8::2]:80"; strings.Join(got, " ") != want {
					t.Errorf("kept %s, want %s", got, want)
				}
				if len(refused) != 1 || refused[0].Value != "10.0.0.1:80" || refused[0].Name != "a" || refused[0].Reason == discovery.OtherFamily {
					t.Errorf("refused %+v", refused)
				}
				if !slices.Equal(before, eps) {
					t.Error("it wrote to its argument")
				}
			})
		}
	}
}

func reversed(eps []discovery.Endpoint) []discovery.Endpoint {
	out := slices.Clone(eps)
	slices.Reverse(out)
	return out
}

// Endpoints without a name are not one thing that has two addresses.
func TestPolicyPrefersByName(t *testing.T) {
	eps := []discovery.Endpoint{named("10.0.0.1:80", ""), named("[2001:db8::1]:80", "")}
	kept, refused := discovery.Policy{Family: discovery.PreferV4}.Select(eps)
	if !slices.Equal(kept, eps) || len(refused) != 0 {
		t.Errorf("kept %v, refused %+v", kept, refused)
	}
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
		kept, refused := p.Select(all)
		if len(kept)+len(refused) != len(all) {
			t.Fatalf("%d of %d, %d refused", len(kept), len(all), len(refused))
		}
		if !slices.IsSortedFunc(kept, func(a, b discovery.Endpoint) int { return a.Addr.Compare(b.Addr) }) {
			t.Fatalf("%v are in another order", kept)
		}
		for _, e := range kept {
			in := func(n netip.Prefix) bool { return n.Contains(e.Addr.Addr()) }
			if len(p.Allow) > 0 && !slices.ContainsFunc(p.Allow, in) || slices.ContainsFunc(p.Deny, in) {
				t.Fatalf("%s passes %+v", e, p)
			}
		}
		// What is left out for its family has something better under its name, unless the
		// family is not wanted at all.
		for _, x := range refused {
			better := func(e discovery.Endpoint) bool { return e.Name == x.Name && e.Addr.Addr().Is4() }
			if x.Reason == discovery.OtherFamily && p.Family == discovery.PreferV4 && !slices.ContainsFunc(kept, better) {
				t.Fatalf("%+v goes, and nothing of that name is kept: %v", x, kept)
			}
		}
	})
}

func TestEveryRefusalHasWords(t *testing.T) {
	for _, reason := range discovery.Reasons {
		if discovery.WhyRefused(reason) == discovery.WhyRefused("odd") {
			t.Errorf("%s has no words", reason)
		}
	}
}
