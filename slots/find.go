package slots

import "net/netip"

// FindServer returns a function that finds the slot of a number among own; nil if there is
// none. What is asked for in the order of own is found at once.
func FindServer(own []Server) func(number int) *Server {
	return finder(own, func(s *Server) int { return s.Number })
}

// FindNamed is [FindServer] by name, among the servers of one backend.
func FindNamed(servers []Server) func(name string) *Server {
	return finder(servers, func(s *Server) string { return s.Name })
}

// FindTarget is [FindServer] for targets.
func FindTarget(targets []Target) func(number int) *Target {
	return finder(targets, func(t *Target) int { return t.Number })
}

// FindSlot is [FindServer] for a table.
func FindSlot(table Table) func(number int) *Slot {
	return finder(table, func(s *Slot) int { return s.Number })
}

func finder[T any, K comparable](list []T, key func(*T) K) func(K) *T {
	next := 0
	var index map[K]int
	return func(wanted K) *T {
		if next < len(list) && key(&list[next]) == wanted {
			next++
			return &list[next-1]
		}
		if index == nil {
			index = make(map[K]int, len(list))
			for i := range list {
				index[key(&list[i])] = i
			}
		}
		i, ok := index[wanted]
		if !ok {
			return nil
		}
		next = i + 1
		return &list[i]
	}
}

// HasReady reports whether any slot serves an endpoint besides those: what stands ready at
// the template's own address serves none.
func HasReady(own []Server, besides map[netip.AddrPort]bool) bool {
	placeholder := Placeholder(own)
	for _, s := range own {
		if s.Class == Ready && !IsPlaceholder(s.Addr, placeholder) && !besides[s.Addr] {
			return true
		}
	}
	return false
}
