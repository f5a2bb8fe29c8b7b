package oracle

import (
	"net/netip"
	"strings"
	"time"
)

// This file judges what there is when every fault has ended.

// Calmed judges what there is when every fault has ended, all is known, nothing is asked or
// held any more, and time was given: every instance serves exactly what is listed, and
// says so.
func (o *Oracle) Calmed(at time.Time, s Status) {
	o.keep("Calmed", at, s)
	for _, st := range s.Instances {
		in := o.instances[st.Name]
		if in == nil || !in.managed {
			continue
		}
		if !st.InSync {
			o.wrong(at, "converge", "%s is not in sync in the end", st.Name)
		}
		for name, b := range o.backends {
			if b.present && b.at(st.Name) {
				o.converged(at, st.Name, name, in, b)
			}
		}
	}
	for _, b := range s.Backends {
		if b.Held || len(b.Kept) > 0 || len(b.Taken) > 0 {
			o.wrong(at, "converge", "%s is held, kept or taken over in the end: %+v", b.Name, b)
		}
	}
}

func (o *Oracle) converged(at time.Time, instance, name string, in *instance, b *backend) {
	for a := range b.there {
		if b.refused(a) || b.Primary != "" && !b.everywhere(a) {
			continue
		}
		if !in.serves(name, a) {
			o.wrong(at, "converge", "%s does not serve %s in the end", instance, a)
		}
	}
	count := map[netip.AddrPort]int{}
	for _, s := range in.backends[name] {
		a := served(&s)
		if !a.IsValid() || strings.HasPrefix(s.Name, "static") {
			continue
		}
		if count[a]++; count[a] == 2 {
			o.wrong(at, "converge", "%s serves %s twice in the end", instance, a)
		}
		if _, there := b.there[a]; !there {
			o.wrong(at, "converge", "%s serves %s in the end, which nobody lists", instance, a)
		}
	}
}

// Quiet tells how many commands that change something an instance got while nothing was to
// be done.
func (o *Oracle) Quiet(at time.Time, instance string, commands int) {
	o.keep("Quiet", at, instance, commands)
	if commands > 0 {
		o.wrong(at, "minimal", "%s got %d commands although nothing had changed", instance, commands)
	}
}
