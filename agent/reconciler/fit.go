package reconciler

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// This file finds out which slots an instance has, and what goes into them.

// barredFor is how long a slot that took no address is not tried again.
const barredFor = 15 * time.Second

// findPrefix returns the prefix of the slots among servers, or what is wrong. One that
// was found stays for as long as the process has it, since what is added would make the
// template look like another; in a new one it stays unless there is exactly one other
// template.
func (b *backendState) findPrefix(servers []slots.Server) (prefix, problem string) {
	spec := b.spec
	if spec.Prefix != "" {
		if len(slots.Own(servers, spec.Prefix)) == 0 {
			return "", "no server of backend " + spec.Proxy + " is named " + spec.Prefix + " and a number: check `slots:`"
		}
		return spec.Prefix, ""
	}
	if b.prefix != "" && !b.ofPredecessor && len(slots.Own(servers, b.prefix)) > 0 {
		return b.prefix, ""
	}
	found, candidates := slots.FindPrefix(servers)
	switch {
	case found != "":
		return found, ""
	case b.prefix != "" && slots.IsTemplate(servers, b.prefix):
		return b.prefix, ""
	}
	return "", "which servers of backend " + spec.Proxy + " are slots? Set `slots:` to one of: " + list(candidates)
}

func list(words []string) string {
	if len(words) == 0 {
		return "(none found)"
	}
	return strings.Join(words, ", ")
}

// canHold reports whether a slot can be given an address, as far as it shows.
func canHold(s *slots.Server) bool { return !s.NoAddress && !s.Off && s.Addr.IsValid() }

// unfit says what keeps all of own from being filled; "" if something can be.
func unfit(proxy string, own []slots.Server) string {
	switch {
	case slices.ContainsFunc(own, func(s slots.Server) bool { return canHold(&s) }):
		return ""
	case slices.ContainsFunc(own, func(s slots.Server) bool { return s.Off }):
		return "backend " + proxy + " is disabled in the configuration of HAProxy: nothing can be filled"
	}
	return "no slot of backend " + proxy + " can be given an address (init-addr none, a resolver, or a unix socket): write `init-addr last,127.0.0.1` and no `resolvers`"
}

// askResolvers finds out, once for each process, whether HAProxy's own resolvers have the
// slots of the backends: then nothing is written there.
func (r *Reconciler) askResolvers(ctx context.Context, names []string) error {
	asked, about := map[string]slots.Server{}, map[string]*backendState{}
	for _, name := range names {
		b := r.backends[name]
		if b.resolversAsked || b.own == nil {
			continue
		}
		if i := slices.IndexFunc(b.own, func(s slots.Server) bool { return s.FQDN != "" }); i >= 0 {
			asked[b.spec.Proxy], about[name] = b.own[i], b
		}
		b.resolversAsked = true
	}
	if len(asked) == 0 {
		return nil
	}
	found, err := r.conn.Resolved(ctx, asked)
	for name, b := range about {
		if b.resolversAsked = err == nil; b.resolversAsked && found[b.spec.Proxy] {
			b.resolved, b.problem = true, slots.ResolvedWords(b.spec.Proxy)
			r.reportProblem(name, b)
		}
	}
	return err
}

// usable returns the slots that can be filled: those that can be given an address and did
// not refuse one lately, if there are others.
func (b *backendState) usable(now time.Time) []slots.Server {
	fit := func(s slots.Server) bool { return canHold(&s) }
	open := func(s slots.Server) bool {
		at, barred := b.barred[s.Number]
		return fit(s) && (!barred || now.Sub(at) >= barredFor)
	}
	return orFewer(orFewer(b.own, fit), open)
}

// orFewer returns those of own for which may holds, and all if there are none: of the
// same memory where it does for all.
func orFewer(own []slots.Server, may func(slots.Server) bool) []slots.Server {
	n := 0
	for _, s := range own {
		if may(s) {
			n++
		}
	}
	if n == 0 || n == len(own) {
		return own
	}
	return slices.DeleteFunc(slices.Clone(own), func(s slots.Server) bool { return !may(s) })
}

// fitTargets puts what is wanted into slots that the instance has, or that can be added.
func (b *backendState) fitTargets(now time.Time) {
	usable := b.usable(now)
	may := slots.FindServer(usable)
	want := b.addable(b.spec.Targets)
	b.fitted = slots.Fit(b.own, want, slots.Ability{
		Usable: func(s *slots.Server) bool { return may(s.Number) != nil },
		Add:    b.spec.Dynamic && b.addUnsupported == "",
	})
}

// addable returns targets of which none is to be added that cannot be.
func (b *backendState) addable(want []slots.Target) []slots.Target {
	if b.spec.Dynamic && b.addUnsupported == "" {
		return want
	}
	has := slots.FindServer(b.own)
	shared := true
	for i, t := range want {
		if t.Dynamic && has(t.Number) == nil {
			if shared {
				want, shared = slices.Clone(want), false
			}
			want[i].Dynamic = false
		}
	}
	return want
}
