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
// time: those with a higher number than every one that is disabled in the
// configuration, which no added server is. Where none is disabled there, nobody
// can tell, and none is Dynamic. Those that are get the Initial of the first
// that is not: HAProxy shows the weight that they were added with.
//
//	web1 web2 (disabled), web3 (not)   web3
//	web1 (not), web2 (disabled)        none
//	web1 web2 web3 (not)               none
func MarkDynamic(own []Server) {
	template, first := -1, -1
	for i := range own {
		s := &own[i]
		if s.Disabled && (template < 0 || byNumber(own[template].Name, s.Name) < 0) {
			template = i
		}
		if first < 0 || byNumber(s.Name, own[first].Name) < 0 {
			first = i
		}
	}
	for i := range own {
		s := &own[i]
		s.Dynamic = template >= 0 && byNumber(own[template].Name, s.Name) < 0
		if s.Dynamic {
			s.Initial = own[first].Initial
		}
	}
}

// FindPrefix finds out which of servers are slots when nobody says so. A prefix
// is a name without its number; names without one do not count, neither do
// names that are nothing but a number. The prefix is "" unless there is exactly
// one whose servers are all disabled in the configuration; then candidates
// lists every prefix there is, sorted.
//
//	web1 web2 (disabled), api1 (not)   "web"
//	web1 (disabled), web2 (not)        ""     web
//	web1, api1 (both disabled)         ""     api web
func FindPrefix(servers []Server) (prefix string, candidates []string) {
	disabled := map[string]bool{}
	for _, s := range servers {
		p := strings.TrimRight(s.Name, "0123456789")
		if p == "" || !isNumber(s.Name[len(p):]) {
			continue
		}
		all, known := disabled[p]
		disabled[p] = s.Disabled && (all || !known)
	}
	var found []string
	for p, all := range disabled {
		if all {
			found = append(found, p)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return "", slices.Sorted(maps.Keys(disabled))
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
