package slots

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Own returns those of servers that belong to a template: named prefix and a
// number, decimal without leading zeros. They are sorted by that number, and
// those that were added at run time are marked (see [MarkDynamic]).
//
//	prefix "web": web1, web20 are own; web, web01, web1a, api1 are not
func Own(servers []Server, prefix string) []Server {
	own := make([]Server, 0, len(servers))
	sorted := true
	for i := range servers {
		s := &servers[i]
		if digits, ok := strings.CutPrefix(s.Name, prefix); ok && isNumber(digits) {
			sorted = sorted && (len(own) == 0 || byNumber(own[len(own)-1].Name, s.Name) <= 0)
			own = append(own, *s)
		}
	}
	if !sorted {
		slices.SortStableFunc(own, func(a, b Server) int { return byNumber(a.Name, b.Name) })
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
		if s.Disabled && s.FQDN != "" && (template < 0 || byNumber(own[template].Name, s.Name) < 0) {
			template = i
		}
		if first < 0 || byNumber(s.Name, own[first].Name) < 0 {
			first = i
		}
	}
	for i := range own {
		s := &own[i]
		s.Dynamic = template >= 0 && s.FQDN == "" && byNumber(own[template].Name, s.Name) < 0
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
		if g.last == nil || byNumber(g.last.Name, s.Name) < 0 {
			g.last = s
		}
		g.bare = g.bare || s.FQDN == ""
		return
	}
	if g.first == nil || byNumber(s.Name, g.first.Name) < 0 {
		g.first = s
	}
	g.named = g.named || s.FQDN != ""
}

// isTemplate reports whether the servers are slots, and what was added to them.
func (g *group) isTemplate() bool {
	return g.last != nil && (g.first == nil || !g.bare && !g.named && byNumber(g.last.Name, g.first.Name) < 0)
}

// isNumber accepts what HAProxy makes of a number in a template's range.
func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == "" && (s == "0" || s[0] != '0')
}

// byNumber compares names that differ in their number only: without leading
// zeros the longer number is the larger one.
func byNumber(a, b string) int {
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
