package agent

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
func (l *local) findPrefix(servers []slots.Server) (prefix, problem string) {
	w := l.want
	if w.prefix != "" {
		if len(slots.Own(servers, w.prefix)) == 0 {
			return "", "no server of backend " + w.proxy + " is named " + w.prefix + " and a number: check `slots:`"
		}
		return w.prefix, ""
	}
	if l.prefix != "" && !l.inherited && len(slots.Own(servers, l.prefix)) > 0 {
		return l.prefix, ""
	}
	found, candidates := slots.FindPrefix(servers)
	switch {
	case found != "":
		return found, ""
	case l.prefix != "" && slots.IsTemplate(servers, l.prefix):
		return l.prefix, ""
	}
	return "", "which servers of backend " + w.proxy + " are slots? Set `slots:` to one of: " + list(candidates)
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
func (w *worker) askResolvers(ctx context.Context, names []string) error {
	asked, about := map[string]slots.Server{}, map[string]*local{}
	for _, name := range names {
		l := w.locals[name]
		if l.asked || l.own == nil {
			continue
		}
		if i := slices.IndexFunc(l.own, func(s slots.Server) bool { return s.FQDN != "" }); i >= 0 {
			asked[l.want.proxy], about[name] = l.own[i], l
		}
		l.asked = true
	}
	if len(asked) == 0 {
		return nil
	}
	found, err := w.conn.Resolved(ctx, asked)
	for name, l := range about {
		if l.asked = err == nil; l.asked && found[l.want.proxy] {
			l.resolved, l.problem = true, slots.ResolvedWords(l.want.proxy)
			w.tellProblem(name, l)
		}
	}
	return err
}

// usable returns the slots that can be filled: those that can be given an address and did
// not refuse one lately, if there are others.
func (l *local) usable(now time.Time) []slots.Server {
	fit := func(s slots.Server) bool { return canHold(&s) }
	open := func(s slots.Server) bool {
		at, barred := l.barred[s.Number]
		return fit(s) && (!barred || now.Sub(at) >= barredFor)
	}
	return orFewer(orFewer(l.own, fit), open)
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

// refit puts what is wanted into slots that the instance has, or that can be added.
func (l *local) refit(now time.Time) {
	usable := l.usable(now)
	may := finder(usable, serverNumber)
	want := l.addable(l.want.targets)
	l.fitted = slots.Fit(l.own, want, slots.Ability{
		Usable: func(s *slots.Server) bool { return may(s.Number) != nil },
		Add:    l.want.dynamic && l.undynamic == "",
	})
}

// addable returns targets of which none is to be added that cannot be.
func (l *local) addable(want []slots.Target) []slots.Target {
	if l.want.dynamic && l.undynamic == "" {
		return want
	}
	has := finder(l.own, serverNumber)
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

func targetNumber(t *slots.Target) int { return t.Number }

func serverNumber(s *slots.Server) int { return s.Number }
