package slots

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/slotsync/slotsync/discovery"
)

// MaxName bounds the names of backends and servers, in bytes.
const MaxName = 128

// CheckName returns an error unless s is a name that HAProxy allows for backends
// and servers (Configuration Manual, 2.6 "Name format for maps, ACLs and
// proxies"): letters, digits, "_", ".", ":" and "-".
func CheckName(s string) error {
	if s == "" || len(s) > MaxName {
		return fmt.Errorf("name %q has %d bytes; want 1 to %d", discovery.Printable(s, maxText), len(s), MaxName)
	}
	if strings.ContainsFunc(s, notInName) {
		return fmt.Errorf("name %q: only letters, digits and _ . : - are allowed", discovery.Printable(s, maxText))
	}
	return nil
}

func notInName(ch rune) bool {
	switch {
	case ch >= 'a' && ch <= 'z', ch >= 'A' && ch <= 'Z', ch >= '0' && ch <= '9',
		ch == '_', ch == '.', ch == ':', ch == '-':
		return false
	}
	return true
}

// AsName returns s with "_" for whatever is not allowed in a name, cut to so many bytes.
func AsName(s string, most int) string {
	name := strings.Map(func(r rune) rune {
		if notInName(r) {
			return '_'
		}
		return r
	}, s)
	return name[:min(len(name), most)]
}

// Own returns those of servers that belong to a template: named prefix and a
// number, decimal without leading zeros. They are sorted by that number, and
// those that were added at run time are marked (see [MarkDynamic]).
//
//	prefix "web": web1, web20 are own; web, web01, web1a, api1 are not
func Own(servers []Server, prefix string) []Server {
	own := make([]Server, 0, len(servers))
	sorted := true
	for i := range servers {
		number, ok := Number(servers[i].Name, prefix)
		if !ok {
			continue
		}
		sorted = sorted && (len(own) == 0 || own[len(own)-1].Number <= number)
		own = append(own, servers[i])
		own[len(own)-1].Number = number
	}
	if !sorted {
		slices.SortStableFunc(own, func(a, b Server) int { return cmp.Compare(a.Number, b.Number) })
	}
	MarkDynamic(own)
	return own
}

// MarkDynamic decides which of own, the slots of one template, were added at run
// time: those without a host name and with a higher number than every one that
// is disabled in the configuration and has a host name, as the recommended
// template gives its servers. Where there is none such, nobody can tell, and none
// is Dynamic: a server of the configuration must never be taken for an added one.
// Those that are get the Initial of the first that is not: HAProxy shows the
// weight that they were added with.
//
//	web1 web2 (disabled, slot.invalid), web3 (not)   web3
//	web1 (not), web2 (disabled, slot.invalid)        none
//	web1 web2 (disabled, no host name), web3 (not)   none
func MarkDynamic(own []Server) {
	template, first := -1, -1
	for i := range own {
		s := &own[i]
		if s.Disabled && s.FQDN != "" && (template < 0 || own[template].Number < s.Number) {
			template = i
		}
		if first < 0 || s.Number < own[first].Number {
			first = i
		}
	}
	for i := range own {
		s := &own[i]
		s.Dynamic = template >= 0 && s.FQDN == "" && own[template].Number < s.Number
		if s.Dynamic {
			s.Initial = own[first].Initial
		}
	}
}

// FindPrefix finds out which of servers are slots when nobody says so. A prefix
// is a name without its number, and ends in digits itself only where the numbers are a
// range that way and none otherwise; names without one do not count, neither do
// names that are nothing but a number. The prefix is "" unless there is exactly
// one whose servers are all disabled in the configuration, but for those that
// were evidently added at run time; then candidates lists every prefix there is,
// sorted. Evidently means that they are what [MarkDynamic] looks for, and that
// all of the others have a host name, as in the recommended template.
//
//	web1 web2 (disabled), api1 (not)   "web"
//	web1 (disabled), web2 (not)        ""     web
//	  the same with a host name, without one   "web"
//	web1, api1 (both disabled)         ""     api web
//	web11 to web19, web110 (disabled)  "web1"
func FindPrefix(servers []Server) (prefix string, candidates []string) {
	groups := map[string]*group{}
	for i := range servers {
		s := &servers[i]
		p := strings.TrimRight(s.Name, "0123456789")
		if p == "" || !isNumber(s.Name[len(p):]) {
			continue
		}
		if groups[p] == nil {
			groups[p] = &group{}
		}
		groups[p].add(s, s.Name[len(p):])
	}
	var found []string
	for p, g := range groups {
		if g.isTemplate() {
			found = append(found, prefixWithDigits(p, g.numbers))
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return "", slices.Sorted(maps.Keys(groups))
}

// IsTemplate reports whether there are servers named prefix and a number, and all of
// them are disabled in the configuration.
func IsTemplate(servers []Server, prefix string) bool {
	own := Own(servers, prefix)
	return len(own) > 0 && !slices.ContainsFunc(own, func(s Server) bool { return !s.Disabled })
}

// A group is the servers of one prefix.
type group struct {
	last  *Server // with the highest number of those that are disabled
	first *Server // with the lowest of the others
	named bool    // some of the others have a host name
	bare  bool    // some of those that are disabled have none

	numbers []string // of those that are disabled
}

func (g *group) add(s *Server, number string) {
	if s.Disabled {
		g.numbers = append(g.numbers, number)
		if g.last == nil || compareNames(g.last.Name, s.Name) < 0 {
			g.last = s
		}
		g.bare = g.bare || s.FQDN == ""
		return
	}
	if g.first == nil || compareNames(s.Name, g.first.Name) < 0 {
		g.first = s
	}
	g.named = g.named || s.FQDN != ""
}

// isTemplate reports whether the servers are slots, and what was added to them.
func (g *group) isTemplate() bool {
	return g.last != nil && (g.first == nil || !g.bare && !g.named && compareNames(g.last.Name, g.first.Name) < 0)
}

// Number returns the number of a slot by its name; ok is false if its prefix is another
// one, or the name is none that a template makes.
func Number(name, prefix string) (n int, ok bool) {
	digits, ok := strings.CutPrefix(name, prefix)
	if !ok || !isNumber(digits) {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil
}

// Collide says why two templates of one backend with these prefixes, "" if they are to be
// found, cannot be told from each other; "" if they can.
func Collide(a, b string) string {
	if a == "" || b == "" {
		return "each needs `slots:`, the prefix of its own server-template"
	}
	short, long := min(a, b), max(a, b) // a prefix comes before what it is one of
	if rest, ok := strings.CutPrefix(long, short); ok && strings.Trim(rest, "0123456789") == "" {
		return "each needs `slots:` of its own, and " + short + " and " + long + " can be names of the same servers"
	}
	return ""
}

const maxDigits = 9

// isNumber accepts what HAProxy makes of a number in a template's range.
func isNumber(s string) bool {
	return s != "" && len(s) <= maxDigits && strings.Trim(s, "0123456789") == "" && (s == "0" || s[0] != '0')
}

// compareNames compares names that differ in their number only: without leading
// zeros the longer number is the larger one.
func compareNames(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// Placeholder returns the address of the template itself, which says that a
// slot was never used: at least two of own have it, none of them ready, and
// more than half of those that are not ready. The zero AddrPort if there is no
// such address; [IsPlaceholder] knows the usual ones without it.
func Placeholder(own []Server) netip.AddrPort {
	// What more than half have is what is left when different ones cancel each
	// other out (Boyer and Moore).
	var a netip.AddrPort
	left := 0
	for i := range own {
		switch s := &own[i]; {
		case s.Class == Ready:
		case left == 0:
			a, left = s.Addr, 1
		case s.Addr == a:
			left++
		default:
			left--
		}
	}
	n, idle := 0, 0
	for i := range own {
		s := &own[i]
		if s.Class == Ready && s.Addr == a {
			return netip.AddrPort{}
		}
		if s.Class != Ready {
			idle++
			if s.Addr == a {
				n++
			}
		}
	}
	if n >= 2 && 2*n > idle {
		return a
	}
	return netip.AddrPort{}
}

// IsPlaceholder reports whether a is no address that traffic ever went to: none
// at all, an unspecified one, port 1 of a loopback address, or placeholder.
func IsPlaceholder(a, placeholder netip.AddrPort) bool {
	ip := a.Addr().Unmap()
	return !a.IsValid() || ip.IsUnspecified() || ip.IsLoopback() && a.Port() == 1 || a == placeholder
}
