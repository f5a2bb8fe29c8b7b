package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

// A judge knows what servers have said, and what follows from it.
type judge struct {
	w     *world
	shown map[string]map[string]bool     // servers by "TYPE name"
	last  map[string]map[string][]string // what each said last, nil for "none", by "TYPE name" and server
}

func newJudge(w *world) *judge {
	j := &judge{w: w, shown: map[string]map[string]bool{}, last: map[string]map[string][]string{}}
	w.replied = j.hear
	return j
}

func (j *judge) hear(server, what string, m *wire.Msg) {
	if m.Rcode != wire.RcodeSuccess && m.Rcode != wire.RcodeNameError {
		return
	}
	said := map[string][]string{what: nil}
	for _, rr := range slices.Concat(m.Answer, m.Extra) {
		h := rr.Header()
		of := wire.TypeToString[h.Rrtype] + " " + strings.TrimSuffix(h.Name, ".")
		said[of] = append(said[of], strings.TrimPrefix(rr.String(), h.String()))
	}
	for of, data := range said {
		if j.last[of] == nil {
			j.last[of], j.shown[of] = map[string][]string{}, map[string]bool{}
		}
		j.last[of][server] = data
		if data != nil {
			j.shown[of][server] = true
		}
	}
}

// blame says what is wrong with a part that is whole: it lacks what no server that has
// had records of it was heard to lack.
func (j *judge) blame(p discovery.Part, had []discovery.Endpoint) string {
	kind, rest, _ := strings.Cut(p.Name, " of ")
	name, _, _ := strings.Cut(rest, ":80")
	what := kind + " " + name
	listed := map[netip.AddrPort]bool{}
	for _, e := range p.Endpoints {
		listed[e.Addr] = true
	}
	for _, e := range had {
		if listed[e.Addr] {
			continue
		}
		denied := false
		for server := range j.shown[what] {
			said, ok := j.last[what][server]
			denied = denied || ok && !slices.Contains(said, e.Addr.Addr().String())
		}
		if !denied {
			return fmt.Sprintf("%s lacks %v, which no server that had records of it denied: %v", p.Name, e, j.last[what])
		}
	}
	return ""
}
