// Package setup proposes a configuration for HAProxys that run and for what discovery
// knows: which backend follows which service.
//
// What HAProxy and discovery say is asked first ([Look], [Names]); [proposeAll] is a function
// of that; [File] writes it down. Nothing is changed at HAProxy or in discovery.
package setup

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/cmd/slotsync/doctor"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/slots"
)

// An Instance is one HAProxy that answers.
type Instance struct {
	Name, Socket string
	Version      string // as HAProxy says it
	Level        string // of the socket: admin, operator, user
	// StateFile is where it loads the state of its servers from, with {backend} in it where
	// each has a file; "" if it loads none, or that cannot be seen from here.
	StateFile string
	Backends  []Backend
}

// A Backend is one of HAProxy's that has servers.
type Backend struct {
	Proxy string
	// Prefix is what the names of its slots begin with; "" if it has none.
	Prefix      string
	Slots       int
	First, Last string // names of the first and the last slot
	// Advice is how the slots are better written; "" if they are well.
	Advice string
	// Live are the addresses that take traffic: of filled slots, and of servers that are
	// written by hand.
	Live []netip.AddrPort
	// Fixed is how many servers are written by hand, in no template.
	Fixed int
	// At are the instances that have slots of it, of those that were merged.
	At []Slots
}

// Slots are those of a backend at one instance.
type Slots struct {
	Instance, Prefix string
}

// A Service is what discovery knows by one name.
type Service struct {
	Name      string
	Addresses []netip.AddrPort // nil if it was not asked for
}

// A Proposal is which service fills a backend, and why it may be that one.
type Proposal struct {
	Backend
	Service string // "" for none
	// Port is that of address records; 0 where discovery knows it.
	Port int
	Why  string
}

// instances names those that have slots of b.
func (b Backend) instances() (names []string) {
	for _, at := range b.At {
		names = append(names, at.Instance)
	}
	return names
}

// prefixes says what the slots are called at each instance; "" if that is the same at all.
func (b Backend) prefixes() string {
	if !slices.ContainsFunc(b.At, func(at Slots) bool { return at.Prefix != b.Prefix }) {
		return ""
	}
	var words []string
	for _, at := range b.At {
		words = append(words, at.Prefix+" at "+at.Instance)
	}
	return strings.Join(words, ", ")
}

// fills reports whether the file has a backend for p.
func (p Proposal) fills() bool { return p.Service != "" && p.Slots > 0 }

// backendsOf returns the backends of one instance: those that have slots or other servers, by
// their name. stateFile is as in [Instance].
func backendsOf(view slots.View, loads func(proxy string) bool) []Backend {
	var list []Backend
	for proxy, servers := range view.Servers {
		if b := backendOf(proxy, servers, loads(proxy)); b.Slots+b.Fixed > 0 {
			list = append(list, b)
		}
	}
	slices.SortFunc(list, func(a, b Backend) int { return strings.Compare(a.Proxy, b.Proxy) })
	return list
}

func backendOf(proxy string, servers []slots.Server, loads bool) Backend {
	b := Backend{Proxy: proxy}
	prefix, _ := slots.FindPrefix(servers)
	var own []slots.Server
	if prefix != "" {
		own = slots.Own(servers, prefix)
		b.Prefix, b.Slots, b.First, b.Last = prefix, len(own), own[0].Name, own[len(own)-1].Name
	}
	for _, s := range servers {
		if s.Class != slots.Maint && s.Addr.IsValid() {
			b.Live = append(b.Live, s.Addr)
		}
	}
	b.Fixed = len(servers) - len(own)
	b.Advice = advice(proxy, servers, own, b.Prefix, loads)
	return b
}

// advice returns the server-template that a backend should have; "" if it has it.
func advice(proxy string, servers, own []slots.Server, prefix string, loads bool) string {
	first, last := 1, roundUp(2*len(servers))
	checked := slices.ContainsFunc(servers, func(s slots.Server) bool { return s.Checked })
	if len(own) > 0 {
		if loads && doctor.WellFormed(own) {
			return ""
		}
		if r, err := slots.RangeOf(own, prefix); err == nil {
			first, last = r.First, r.Last
		}
	} else {
		prefix = freePrefix(proxy, servers)
	}
	line := doctor.Recommended(prefix, first, last)
	if checked || len(own) == 0 {
		line += " check inter 2s"
	}
	return line
}

// roundUp returns n rounded up to tens, at least 10.
func roundUp(n int) int { return max(10, (n+9)/10*10) }

// freePrefix returns a prefix for slots that no server's name begins with.
func freePrefix(proxy string, servers []slots.Server) string {
	for _, p := range []string{proxy, proxy + "-slot", "slot", proxy + "-slotsync"} {
		taken := func(s slots.Server) bool { return strings.HasPrefix(s.Name, p) }
		ends := p[len(p)-1] >= '0' && p[len(p)-1] <= '9'
		if !ends && !slices.ContainsFunc(servers, taken) {
			return p
		}
	}
	return proxy + "-slotsync-"
}

// mergeInstances returns the backends of all instances, each once: as the first one has it that has
// slots there, with the addresses and slots of all.
func mergeInstances(instances []Instance) []Backend {
	var list []Backend
	for _, in := range instances {
		for _, b := range in.Backends {
			if b.Slots > 0 {
				b.At = []Slots{{in.Name, b.Prefix}}
			}
			i := slices.IndexFunc(list, func(x Backend) bool { return x.Proxy == b.Proxy })
			if i < 0 {
				list = append(list, b)
				continue
			}
			live, at := slices.Concat(list[i].Live, b.Live), slices.Concat(list[i].At, b.At)
			if list[i].Slots == 0 && b.Slots > 0 {
				list[i] = b
			}
			slices.SortFunc(live, netip.AddrPort.Compare)
			list[i].Live, list[i].At = slices.Compact(live), at
		}
	}
	return list
}

// proposeAll returns for each backend the service that it most likely stands for: one that has
// the addresses which take traffic now, else one of its name, else one whose name is nearly
// the same. Two that are equally likely are none.
func proposeAll(backends []Backend, services []Service) []Proposal {
	list := make([]Proposal, len(backends))
	for i, b := range backends {
		list[i] = propose(b, services)
	}
	return list
}

func propose(b Backend, services []Service) Proposal {
	var best Proposal
	score, equal := 0, false
	for _, s := range services {
		n, why := likeness(b, s)
		if n > score {
			best, score, equal = Proposal{Backend: b, Service: s.Name, Why: why}, n, false
		} else if n == score && n > 0 {
			equal = true
		}
	}
	if score == 0 || equal {
		return Proposal{Backend: b}
	}
	return best
}

// likeness says how likely it is that s is what b stands for, 0 for not at all.
func likeness(b Backend, s Service) (score int, why string) {
	common := 0
	for _, a := range b.Live {
		if slices.Contains(s.Addresses, a) {
			common++
		}
	}
	switch {
	case common > 0:
		return 1000 + common, fmt.Sprintf("%d of the %s that take traffic in it are of this service", common, textfmt.Count(len(b.Live), "server"))
	case s.Name == b.Proxy:
		return 3, "they have one name"
	case bare(s.Name) == bare(b.Proxy):
		return 2, "their names are nearly the same"
	}
	return 0, ""
}

// bare returns a name as far as it means something: be_web, web-backend and web_http are web.
func bare(name string) string {
	name = strings.ToLower(strings.NewReplacer("_", "-", ".", "-", ":", "-").Replace(name))
	words := slices.DeleteFunc(strings.Split(name, "-"), func(w string) bool {
		return slices.Contains([]string{"", "be", "bk", "backend", "back", "pool", "http", "https", "tcp", "srv", "service", "servers"}, w)
	})
	if len(words) == 0 {
		return name
	}
	return strings.Join(words, "-")
}
