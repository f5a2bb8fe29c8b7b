package discovery_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/discovery"
)

func TestParse(t *testing.T) {
	tests := []struct {
		host   string
		port   int
		want   string // empty if it is refused
		reason string
	}{
		{"10.0.0.1", 80, "10.0.0.1:80", ""},
		{"127.0.0.1", 65535, "127.0.0.1:65535", ""},
		{"::ffff:10.0.0.1", 1, "10.0.0.1:1", ""},
		{"2001:db8::1", 80, "[2001:db8::1]:80", ""},
		{"2001:DB8:0::1", 80, "[2001:db8::1]:80", ""},
		{"", 80, "", discovery.BadAddress},
		{"web.example.org", 80, "", discovery.BadAddress},
		{"010.0.0.1", 80, "", discovery.BadAddress},
		{"10.0.0.1\nset server b/s state maint", 80, "", discovery.BadAddress},
		{"fe80::1%eth0", 80, "", discovery.BadAddress},
		{"2001:db8::1%1", 80, "", discovery.BadAddress},
		{"10.0.0.1", 0, "", discovery.BadPort},
		{"10.0.0.1", -70000, "", discovery.BadPort},
		{"10.0.0.1", 65536, "", discovery.BadPort},
		{"10.0.0.1", 99999, "", discovery.BadPort},
		{"0.0.0.0", 80, "", discovery.Unspecified},
		{"::", 80, "", discovery.Unspecified},
		{"::ffff:0.0.0.0", 80, "", discovery.Unspecified},
		{"224.0.0.1", 80, "", discovery.Multicast},
		{"ff02::1", 80, "", discovery.Multicast},
		{"255.255.255.255", 80, "", discovery.Multicast},
		{"169.254.169.254", 80, "", discovery.LinkLocal},
		{"::ffff:169.254.169.254", 80, "", discovery.LinkLocal},
		{"fe80::1", 80, "", discovery.LinkLocal},
		{"fd00:ec2::254", 80, "", discovery.Metadata},
		{"::1", 80, "[::1]:80", ""},
		// IPv4 addresses that others stand for.
		{"64:ff9b::a9fe:a9fe", 80, "", discovery.LinkLocal},
		{"64:ff9b::10.0.0.1", 80, "[64:ff9b::a00:1]:80", ""},
		{"64:ff9b::127.0.0.1", 80, "[64:ff9b::7f00:1]:80", ""},
		{"64:ff9b::", 80, "", discovery.Unspecified},
		{"64:ff9b::255.255.255.255", 80, "", discovery.Multicast},
		{"64:ff9b::239.1.2.3", 80, "", discovery.Multicast},
		{"2002:a9fe:a9fe::1", 80, "", discovery.LinkLocal},
		{"2002:a00:1::a9fe:a9fe", 80, "[2002:a00:1::a9fe:a9fe]:80", ""},
		{"2002:e000:1::1", 80, "", discovery.Multicast},
		{"2002:0:0::1", 80, "", discovery.Unspecified},
		{"::169.254.169.254", 80, "", discovery.LinkLocal},
		{"::224.0.0.1", 80, "", discovery.Multicast},
		{"::10.0.0.1", 80, "[::a00:1]:80", ""},
		{"64:ff9b:1:a9fe:a9:fe00::", 80, "", discovery.LinkLocal},   // its prefix has 48 bits
		{"64:ff9b:1:a9:fe:a9fe::", 80, "", discovery.LinkLocal},     // 56
		{"64:ff9b:1:7:a9:fea9:fe00:0", 80, "", discovery.LinkLocal}, // 64
		{"64:ff9b:1:7::a9fe:a9fe", 80, "", discovery.LinkLocal},     // 96
		{"64:ff9b:1:7::a00:1", 80, "[64:ff9b:1:7::a00:1]:80", ""},
		{"64:ff9b:1:a00:0:100::", 80, "[64:ff9b:1:a00:0:100::]:80", ""},
		{"64:ff9b:2::a9fe:a9fe", 80, "[64:ff9b:2::a9fe:a9fe]:80", ""},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s %d", test.host, test.port), func(t *testing.T) {
			addr, reason := discovery.Parse(test.host, test.port)
			if reason != test.reason || reason == "" && addr.String() != test.want {
				t.Errorf("got %s %q", addr, reason)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, host := range []string{"10.0.0.1", "::ffff:1.2.3.4", "fe80::1%eth0", "0.0.0.0", "a\nb", "fd00:ec2::254", "[::1]", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"} {
		f.Add(host, 80)
	}
	f.Fuzz(func(t *testing.T, host string, port int) {
		addr, reason := discovery.Parse(host, port)
		if reason != "" {
			if !slices.Contains(discovery.Reasons[:], reason) {
				t.Fatalf("reason %q is not listed", reason)
			}
			return
		}
		s := addr.String()
		if strings.Trim(s, "0123456789abcdef.:[]") != "" || addr.Addr().Is4In6() || int(addr.Port()) != port {
			t.Fatalf("%q %d became %s", host, port, s)
		}
	})
}

func drawEndpoint(t *rapid.T) discovery.Endpoint {
	addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(1, 4).Draw(t, "host"))})
	return discovery.Endpoint{
		Addr:   netip.AddrPortFrom(addr, uint16(rapid.IntRange(80, 82).Draw(t, "port"))),
		Weight: rapid.IntRange(0, 3).Draw(t, "weight"),
		State:  discovery.State(rapid.IntRange(0, 2).Draw(t, "state")),
		Name:   rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "name"),
	}
}

func TestNormalizeForgetsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		eps := rapid.SliceOfN(rapid.Custom(drawEndpoint), 0, 30).Draw(t, "endpoints")
		before := slices.Clone(eps)
		want := discovery.Normalize(eps)
		if !slices.Equal(before, eps) {
			t.Fatal("it wrote to its argument")
		}
		shuffled := rapid.Permutation(eps).Draw(t, "shuffled")
		if got := discovery.Normalize(shuffled); !slices.Equal(want, got) {
			t.Fatalf("%v\nbecame %v\nshuffled %v", eps, want, got)
		}
		if !slices.Equal(want, discovery.Normalize(want)) {
			t.Fatal("twice is not once")
		}
		for _, e := range eps {
			i, found := slices.BinarySearchFunc(want, e.Addr, func(w discovery.Endpoint, a netip.AddrPort) int { return w.Addr.Compare(a) })
			if !found || want[i].State > e.State || want[i].State == e.State && want[i].Weight < e.Weight {
				t.Fatalf("%+v is not represented in %+v", e, want)
			}
		}
	})
}

func TestStateText(t *testing.T) {
	for _, s := range []discovery.State{discovery.Ready, discovery.Drain, discovery.Down} {
		raw, err := json.Marshal(map[string]discovery.State{"s": s})
		if err != nil || string(raw) != `{"s":"`+s.String()+`"}` {
			t.Errorf("%v: %s %v", s, raw, err)
		}
		var back map[string]discovery.State
		if err := json.Unmarshal(raw, &back); err != nil || back["s"] != s {
			t.Errorf("%s: %v %v", raw, back, err)
		}
	}
	var s discovery.State
	if err := s.UnmarshalText([]byte("Ready")); err == nil {
		t.Error("it read a state that there is not")
	}
	if got := discovery.State(9).String(); got != "State(9)" {
		t.Error(got)
	}
}

func TestEndpointString(t *testing.T) {
	e := endpoint(1)
	if got := e.String(); got != "10.0.0.1:80" {
		t.Error(got)
	}
	e.State = discovery.Drain
	if got := e.String(); got != "10.0.0.1:80 (drain)" {
		t.Error(got)
	}
}

func TestError(t *testing.T) {
	err := fmt.Errorf("web: %w", discovery.Errorf(discovery.Auth, "read: %w", io.EOF))
	if discovery.ClassOf(err) != discovery.Auth || !errors.Is(err, io.EOF) || err.Error() != "web: auth: read: EOF" {
		t.Errorf("%v is %s", err, discovery.ClassOf(err))
	}
	if c := discovery.ClassOf(io.EOF); c != discovery.Transport {
		t.Errorf("an error without a class is %s", c)
	}
	for _, c := range discovery.Classes {
		if first, most := c.Backoff(); first < time.Second || most < first || most > 10*time.Minute {
			t.Errorf("%s: %s to %s", c, first, most)
		}
	}
}

func TestErrorIsOneShortLine(t *testing.T) {
	page := strings.Repeat("<p>\x1b[31mno\r\n", 1<<10)
	got := discovery.Errorf(discovery.Server, "500: %s", page).Error()
	if utf8.RuneCountInString(got) > 220 || strings.ContainsFunc(got, unicode.IsControl) {
		t.Errorf("%d runes: %q", utf8.RuneCountInString(got), got)
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 slots", 1: "1 slot", 2: "2 slots"} {
		if got := discovery.Count(n, "slot"); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("web-1", 10)
	f.Add("a\x00\x1b[2J\u202e\xff", 4)
	f.Fuzz(func(t *testing.T, s string, most int) {
		most = int(uint(most) % 300)
		got := discovery.Printable(s, most)
		if utf8.RuneCountInString(got) > most+1 || !utf8.ValidString(got) {
			t.Fatalf("%q of at most %d became %q", s, most, got)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q became %q", s, got)
		}
	})
}

func TestPasses(t *testing.T) {
	for _, c := range discovery.Classes {
		want := c != discovery.Busy && c != discovery.Config && c != discovery.Protocol
		if c.Passes() != want {
			t.Errorf("%s: %t", c, !want)
		}
	}
}
