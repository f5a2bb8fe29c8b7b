package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
)

// writeSlots is how to write the slots that are there, with as many numbers and with
// the keywords that can be seen.
func writeSlots(prefix string, own []slots.Server) string {
	r, _ := slots.RangeOf(own, prefix)
	line := Recommended(prefix, r.First, max(r.Last, r.First))
	if slices.ContainsFunc(own, func(s slots.Server) bool { return s.Checked }) {
		line += " check"
	}
	if slices.ContainsFunc(own, func(s slots.Server) bool { return s.TLS }) {
		line += " ssl …"
	}
	return line
}

// judgeAdded compares the slots with what servers that are added get: they have none of
// the keywords of default-server or the template.
func (f *findings) judgeAdded(b config.Backend, own []slots.Server) {
	if !b.Dynamic {
		return
	}
	words := strings.Fields(b.DynamicOptions)
	template := func(s slots.Server) bool { return !s.Dynamic }
	for _, k := range []struct {
		word string
		has  func(slots.Server) bool
		harm string
	}{
		{"ssl", func(s slots.Server) bool { return s.TLS }, "would be spoken to in clear text"},
		{"check", func(s slots.Server) bool { return s.Checked }, "would take traffic whether they work or not"},
	} {
		all := slices.DeleteFunc(slices.Clone(own), func(s slots.Server) bool { return !template(s) })
		n := len(slices.DeleteFunc(slices.Clone(all), func(s slots.Server) bool { return !k.has(s) }))
		switch has := slices.Contains(words, k.word); {
		case n == len(all) && n > 0 && !has:
			f.add(api.VerdictFail, "the slots have `%s` and servers that are added have not, so that these %s: set dynamic_options to what the template has, as in %q",
				k.word, k.harm, strings.TrimSpace(b.DynamicOptions+" "+k.word))
		case n == 0 && has:
			f.add(api.VerdictWarn, "servers that are added have `%s` and the slots have not: make dynamic_options what the template has", k.word)
		}
	}
}

// judgeSlots says which instances have fewer slots for a backend than others. instances
// is what was found at each.
func judgeSlots(backends []config.Backend, instances []findings) []api.Finding {
	var list []api.Finding
	for _, b := range backends {
		if b.Dynamic {
			continue // what is added at run time may be missing for a moment
		}
		most := 0
		for _, f := range instances {
			most = max(most, f.slots[b.Name])
		}
		var fewer, full []string
		for _, f := range instances {
			name := strings.TrimPrefix(f.subject, "instance ")
			switch n := f.slots[b.Name]; {
			case n == 0: // that it has none was said, or it does not serve it
			case n < most:
				fewer = append(fewer, fmt.Sprintf("%s (%d)", name, n))
			default:
				full = append(full, name)
			}
		}
		if len(fewer) > 0 {
			list = append(list, api.Finding{Verdict: api.VerdictWarn, Subject: "backend " + b.Name, Text: fmt.Sprintf("%d slots at %s, and fewer at %s: an endpoint takes no traffic where its slot is lacking: write the same number everywhere",
				most, textfmt.List(full, 5), textfmt.List(fewer, 5))})
		}
	}
	return list
}

// judgeOwners says what agent-checks do, whether HAProxy's resolvers are known to have
// slots, and what it means that none is spare.
func (f *findings) judgeOwners(b config.Backend, own []slots.Server) {
	f.some(api.VerdictOK, own, func(s slots.Server) bool { return s.Agent },
		"have an agent-check: their weight is the agent's, and slotsync sets it with the fill alone; it is disabled while a slot is to take no traffic")
	if slices.ContainsFunc(own, func(s slots.Server) bool { return s.Resolved }) {
		f.add(api.VerdictFail, "%s", slots.ResolvedWords(b.Proxy))
	}
	spare := func(s slots.Server) bool {
		return s.Class == slots.Maint || slots.IsPlaceholder(s.Addr, netip.AddrPort{})
	}
	if !slices.ContainsFunc(own, spare) && !b.Dynamic {
		f.add(api.VerdictWarn, "every slot is in use: an endpoint that replaces another one waits until that has no sessions: have a spare slot, or `dynamic: true`")
	}
}

// askResolvers finds out whether HAProxy's resolvers have the slots by a host name, which
// the dump does not show.
func (f *findings) askResolvers(ctx context.Context, client *haproxy.Client, b config.Backend, servers []slots.Server) {
	_, own := slotsOf(b, servers)
	i := slices.IndexFunc(own, func(s slots.Server) bool { return s.FQDN != "" })
	if i < 0 {
		return
	}
	switch found, err := client.Resolved(ctx, map[string]slots.Server{b.Proxy: own[i]}); {
	case err != nil:
		f.add(api.VerdictWarn, "whether HAProxy's own resolvers have the slots is not known: %v", err)
	case found[b.Proxy]:
		f.add(api.VerdictFail, "%s", slots.ResolvedWords(b.Proxy))
	}
}
