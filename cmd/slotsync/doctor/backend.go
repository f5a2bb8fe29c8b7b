package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/slots"
)

// fullWeight is the weight of a template that can express every percent.
const fullWeight = 100

// Recommended is how to write slots that lose nothing.
func Recommended(prefix string, first, last int) string {
	return fmt.Sprintf("server-template %s %d-%d slot.invalid:1 init-addr last,127.0.0.1 disabled weight %d", prefix, first, last, fullWeight)
}

// A formFault is what a slot costs that is written in another way than [Recommended].
type formFault struct {
	verdict string
	has     func(slots.Server) bool
	text    string
}

// formFaults are those that HAProxy shows; write is the line that has none.
func formFaults(write string) []formFault {
	return []formFault{
		{api.VerdictFail, func(s slots.Server) bool { return s.NoAddress && !s.Off },
			"have no address that can be set (`init-addr none`, or `resolvers` on the slot): write `" + write + "`"},
		{api.VerdictWarn, func(s slots.Server) bool { return !s.NoAddress && !s.Off && !s.Resolved && s.FQDN == "" },
			"have a numeric address, which a restart does not restore from a state file: write `" + write + "`"},
		{api.VerdictWarn, func(s slots.Server) bool { return !s.Disabled && !s.Off },
			"are not `disabled` in the configuration: they take traffic at their placeholder until they are filled"},
		{api.VerdictWarn, func(s slots.Server) bool { return s.Addr.IsValid() && s.Addr.Port() == 0 },
			"have no port in the configuration, so a restart with a state file adds the frontend's to it: write :1"},
		{api.VerdictWarn, func(s slots.Server) bool { return s.Initial < fullWeight },
			fmt.Sprintf("have a template weight below %d, which cannot express every percent: write `weight %d`", fullWeight, fullWeight)},
	}
}

// WellFormed reports whether slots are written as [Recommended] has it, as far as HAProxy shows it.
func WellFormed(own []slots.Server) bool {
	return !slices.ContainsFunc(own, func(s slots.Server) bool { return s.Resolved }) &&
		!slices.ContainsFunc(formFaults(""), func(f formFault) bool { return slices.ContainsFunc(own, f.has) })
}

// judgeBackend says what one instance has to fill for b, and how many slots that is.
func judgeBackend(in config.Instance, b config.Backend, view slots.View) (findings, int) {
	f := findings{subject: fmt.Sprintf("instance %s, backend %s", in.Name, b.Proxy)}
	servers, ok := view.Servers[b.Proxy]
	if !ok {
		f.add(api.VerdictFail, "HAProxy has no backend of this name: add it, or correct backends[].backend")
		return f, 0
	}
	prefix, own := slotsOf(b, servers)
	switch {
	case prefix == "":
		f.add(api.VerdictFail, "which servers are slots? Set `slots:`; %s", candidates(servers))
		return f, 0
	case len(own) == 0:
		f.add(api.VerdictFail, "no server is named %s and a number: correct `slots:`; %s", prefix, candidates(servers))
		return f, 0
	}
	ready := 0
	for _, s := range own {
		if s.Class == slots.Ready {
			ready++
		}
	}
	f.add(api.VerdictOK, "%s %s to %s, %d of them ready", textfmt.Count(len(own), "slot"), own[0].Name, own[len(own)-1].Name, ready)
	f.judgeForm(in, prefix, own)
	f.judgeAdded(b, own)
	if _, err := slots.RangeOf(own, prefix); err != nil {
		f.add(api.VerdictWarn, "the slots cannot be grown in their place: %v", err)
	}
	f.judgeOwners(b, own)
	return f, len(own)
}

// slotsOf returns the slots among the servers of b, and what their names begin with: "" if that is
// not known.
func slotsOf(b config.Backend, servers []slots.Server) (prefix string, own []slots.Server) {
	if prefix = b.Prefix; prefix == "" {
		prefix, _ = slots.FindPrefix(servers)
	}
	if prefix != "" {
		own = slots.Own(servers, prefix)
	}
	return prefix, own
}

// candidates names what the names of slots may begin with.
func candidates(servers []slots.Server) string {
	switch found, all := slots.FindPrefix(servers); {
	case found != "":
		return "the candidates are " + found
	case len(all) > 0:
		return "the candidates are " + strings.Join(all, ", ")
	}
	return "there are none: add a server-template"
}

// judgeForm says what the way in which the slots are written costs.
func (f *findings) judgeForm(in config.Instance, prefix string, own []slots.Server) {
	before := len(f.list)
	f.some(api.VerdictFail, own, func(s slots.Server) bool { return s.Off },
		"are in a backend that is `disabled` in the configuration, and take neither traffic nor changes: remove `disabled` from the backend")
	for _, fault := range formFaults(writeSlots(prefix, own)) {
		f.some(fault.verdict, own, fault.has, fault.text)
	}
	if in.StateFile == "" {
		f.add(api.VerdictWarn, "without state_file a restarted HAProxy is empty until the agent has filled it: set it, and `load-server-state-from-file`")
		return
	}
	if len(f.list) == before {
		f.add(api.VerdictOK, "the slots have the recommended form")
	}
}

// some adds a finding if any of the servers are as bad says.
func (f *findings) some(verdict string, own []slots.Server, bad func(slots.Server) bool, text string) {
	n, first := 0, ""
	for _, s := range own {
		if bad(s) {
			if n == 0 {
				first = s.Name
			}
			n++
		}
	}
	if n > 0 {
		f.add(verdict, "%d of %s (%s first) %s", n, textfmt.Count(len(own), "slot"), first, text)
	}
}
