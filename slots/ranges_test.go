package slots_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/slots"
)

// numbered returns prefix and each number from first to last.
func numbered(prefix string, first, last int) (servers []slots.Server) {
	for n := first; n <= last; n++ {
		servers = append(servers, slots.Server{Name: fmt.Sprintf("%s%d", prefix, n), Disabled: true, FQDN: "slot.invalid"})
	}
	return servers
}

// TestPrefixThatEndsInDigits: "web1 1-10" has web11 to web19 and web110.
func TestPrefixThatEndsInDigits(t *testing.T) {
	for _, c := range []struct {
		name    string
		servers []slots.Server
		want    string
	}{
		{"a range", numbered("web", 1, 30), "web"},
		{"a range from 5 on", numbered("web", 5, 14), "web"},
		{"a range from 101 on", numbered("web", 101, 110), "web"},
		{"from 0 on", numbered("web", 0, 12), "web"},
		{"digits before it", numbered("web1", 1, 10), "web1"},
		{"more digits before it", numbered("web20", 1, 100), "web20"},
		{"digits, read either way", numbered("web1", 1, 9), "web"},
		{"digits before a higher range", numbered("web2", 95, 104), "web2"},
		{"gaps", append(numbered("web", 1, 3), numbered("web", 7, 9)...), "web"},
		{"beside another name", append(numbered("web1", 1, 10), named("api1", "backup")...), "web1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, _ := slots.FindPrefix(c.servers); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			own := slots.Own(c.servers, c.want)
			if len(own) == 0 || c.name != "beside another name" && len(own) != len(c.servers) {
				t.Errorf("%d of %d are slots", len(own), len(c.servers))
			}
		})
	}
}

func TestRangeOf(t *testing.T) {
	added := slots.Server{Name: "web15"}
	for _, c := range []struct {
		name, prefix string
		servers      []slots.Server
		want         slots.Range
		says         string
	}{
		{"from 1 on", "web", numbered("web", 1, 10), slots.Range{Prefix: "web", First: 1, Last: 10}, ""},
		{"from 5 on, and an added one", "web", append(numbered("web", 5, 14), added), slots.Range{Prefix: "web", First: 5, Last: 14}, ""},
		{"from 0 on", "web", numbered("web", 0, 0), slots.Range{Prefix: "web", First: 0, Last: 0}, ""},
		{"digits", "web1", numbered("web1", 1, 10), slots.Range{Prefix: "web1", First: 1, Last: 10}, ""},
		{"a gap", "web", append(numbered("web", 2, 3), numbered("web", 7, 9)...), slots.Range{Prefix: "web", First: 2, Last: 9}, "no web4 between web3 and web7"},
		{"another template's names", "web", append(numbered("web", 1, 9), numbered("web1", 1, 10)...), slots.Range{Prefix: "web", First: 1, Last: 110}, "no web10 between web9 and web11"},
		{"none", "web", nil, slots.Range{Prefix: "web", First: 1}, "no server is named web"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := slots.RangeOf(slots.Own(c.servers, c.prefix), c.prefix)
			if got != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %+v, %v; want %+v, %q", got, err, c.want, c.says)
			}
		})
	}
}

func TestRangeNumber(t *testing.T) {
	r := slots.Range{Prefix: "web", First: 1, Last: 9}
	for name, want := range map[string]int{"web5": 5, "web0": 0, "web10": 10} {
		if n, ok := slots.Number(name, r.Prefix); !ok || n != want || r.Name(n) != name {
			t.Errorf("%s: got %d, %v", name, n, ok)
		}
	}
	for _, name := range []string{"web", "web01", "api1", "web1x", "web99999999999999999999"} {
		if n, ok := slots.Number(name, r.Prefix); ok {
			t.Errorf("%s: got %d", name, n)
		}
	}
}
