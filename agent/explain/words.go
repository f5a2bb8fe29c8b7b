// Package explain puts into words what is known of a backend, an address or a slot. It is pure:
// words follow from the facts that are gathered.
package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/override"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// An Explanation is an [api.Explanation] in the making, and what its words need besides.
type Explanation struct {
	api.Explanation
	TakeoverID string // "" if there is no takeover
	Blocked    bool   // nothing is written because of it
}

// An Address is an [api.AddressExplanation] that is being put into words.
type Address api.AddressExplanation

// Words says what one has to know of an address first.
func (a *Address) Words(e *Explanation) string {
	refused := a.saying(api.SaysRefused)
	strange := a.at(func(i api.InstanceExplanation) bool { return i.HeldBy == api.HoldTakeover && i.Address == a.Address })
	switch {
	case a.Address == "":
		return fmt.Sprintf("Slot %s is free: it holds no endpoint.", a.Slot)
	case len(strange) > 0:
		return fmt.Sprintf("%s is live at %s in slot %s, and no source has ever listed it: it is left alone until `slotsync accept %s %s`.",
			a.Address, names(strange), strange[0].Slot, e.Name, e.TakeoverID)
	case a.InForce == nil && len(refused) > 0:
		return fmt.Sprintf("%s never takes traffic: %s names it, and %s (%s).", a.Address, refused[0].Source,
			discovery.WhyRefused(refused[0].Reason), refused[0].Reason)
	case a.InForce == nil:
		return a.absent(e)
	}
	return a.present(e) + a.operated() + a.keptBy(e) + e.silence()
}

// absent is the verdict on an address that is not in force.
func (a *Address) absent(e *Explanation) string {
	live := a.at(func(i api.InstanceExplanation) bool { return i.Up && i.Address == a.Address && i.State != slots.Maint })
	listed := a.saying(api.SaysReady, api.SaysDrain, api.SaysDown)
	last, by := a.lastListed()
	switch {
	case len(live) > 0:
		return fmt.Sprintf("%s is not wanted any more, and still %s at %s in slot %s%s.", a.Address, live[0].State, names(live), live[0].Slot,
			because(live[0].Why)) + a.leftBehind()
	case len(listed) > 0 && !e.inUse(listed[0].Source):
		return fmt.Sprintf("%s is listed by %s, which stands by: other sources are in use.", a.Address, listed[0].Source)
	case len(listed) > 0:
		return fmt.Sprintf("%s is listed by %s and not yet in force: %s", a.Address, listed[0].Source, e.Guard.Why)
	case e.Phase == api.PhaseWaiting:
		return fmt.Sprintf("Nothing is known of %s: %s", a.Address, e.Guard.Why)
	case !last.IsZero():
		return fmt.Sprintf("%s is out of service: %s does not list it any more, and did so last %s ago.", a.Address, by, ago(e.At, last)) + a.leftBehind() + e.silence()
	}
	return fmt.Sprintf("No source of %s lists %s, or ever did: is the address right?", e.Name, a.Address) + e.silence()
}

// leftBehind names the instances that do not answer and may still send traffic to
// an address that is gone.
func (a *Address) leftBehind() string {
	away := a.at(func(i api.InstanceExplanation) bool { return !i.Up && i.Address == a.Address && i.State != slots.Maint })
	if len(away) == 0 {
		return ""
	}
	return fmt.Sprintf(" It may still have traffic at %s: %s.", names(away), away[0].Why)
}

// present is the verdict on an address that is in force.
func (a *Address) present(e *Explanation) string {
	switch {
	case a.InForce.State == discovery.Down:
		return fmt.Sprintf("%s is out of service: %s says that it is down%s.", a.Address, a.sayer(api.SaysDown), because(a.InForce.Reason))
	case a.NoSlot == "overflow":
		return fmt.Sprintf("%s has no slot, and takes no traffic: all %d slots of %s are taken.", a.Address, e.Slots, e.Backend)
	case a.NoSlot != "":
		return fmt.Sprintf("%s has no slot yet: no instance has shown the slots of %s.", a.Address, e.Backend)
	case a.InForce.State == discovery.Drain && !a.LeavesAt.IsZero():
		return fmt.Sprintf("%s leaves: it drains in slot %s for another %s%s.", a.Address, a.Slot, ago(a.LeavesAt, e.At), a.exceptions())
	case a.InForce.State == discovery.Drain:
		return fmt.Sprintf("%s drains in slot %s: %s says so%s%s.", a.Address, a.Slot, a.sayer(api.SaysDrain), because(a.InForce.Reason), a.exceptions())
	}
	serves := a.at(func(i api.InstanceExplanation) bool { return i.Traffic })
	if len(serves) == 0 && e.Blocked {
		return fmt.Sprintf("%s takes no traffic yet: nothing is written to %s until `slotsync accept %s %s`, since no source ever listed any of the addresses that take traffic.",
			a.Address, e.Backend, e.Name, e.TakeoverID)
	}
	if len(serves) == 0 {
		return fmt.Sprintf("%s should take traffic in slot %s, and does not%s.", a.Address, a.Slot, a.exceptions())
	}
	return fmt.Sprintf("%s takes traffic at %s in slot %s%s.", a.Address, names(serves), a.Slot, a.exceptions())
}

// exceptions names the instances that are not as they should be.
func (a *Address) exceptions() string {
	var words []string
	for _, i := range a.Instances {
		if i.Why != "" {
			words = append(words, "not at "+i.Instance+": "+i.Why)
		}
	}
	if len(words) == 0 {
		return ""
	}
	return "; " + strings.Join(words, "; ")
}

// keptBy says that an address is in force although no source lists it.
func (a *Address) keptBy(e *Explanation) string {
	if k := a.Kept; k != nil {
		return fmt.Sprintf(" It is kept: %s has not been known to be without it for %s (%s). `slotsync accept %s %s` has it go.",
			api.PartOf(k.Source, k.Part), ago(e.At, k.Since), k.Reason, e.Name, k.ID)
	}
	if !a.Held {
		return ""
	}
	return " It is only kept: " + e.Guard.Why
}

// silence names the sources that do not answer.
func (e *Explanation) silence() string {
	var words string
	for _, s := range e.Sources {
		if s.State == "failing" && s.InUse {
			words += fmt.Sprintf(" %s does not answer%s: what it said last stays in force.", s.Name, forSince(e.At, s.FailingSince))
		}
	}
	return words
}

func (e *Explanation) inUse(source string) bool {
	return slices.ContainsFunc(e.Sources, func(s api.SourceExplanation) bool { return s.Name == source && s.InUse })
}

// saying returns what the sources say that say one of these.
func (a *Address) saying(words ...string) []api.SourceView {
	return slices.DeleteFunc(slices.Clone(a.Said), func(s api.SourceView) bool { return !slices.Contains(words, s.Says) })
}

// operated says what operators asked of the address.
func (a *Address) operated() string {
	var words []string
	for _, o := range a.Overrides {
		words = append(words, o.Words())
	}
	if len(words) == 0 {
		return ""
	}
	return " An operator has it so: " + strings.Join(words, "; ") + "."
}

// sayer names who says so.
func (a *Address) sayer(word string) string {
	var who []string
	if slices.ContainsFunc(a.Overrides, func(o api.Override) bool { return override.Implies(&o, word) }) {
		who = append(who, "an operator")
	}
	for _, s := range a.saying(word) {
		who = append(who, s.Source)
	}
	if len(who) == 0 {
		return "its source"
	}
	return listOf(who)
}

// lastListed is when any source listed the address last, and which.
func (a *Address) lastListed() (at time.Time, by string) {
	for _, s := range a.Said {
		if s.LastListed.After(at) {
			at, by = s.LastListed, s.Source
		}
	}
	return at, by
}

// at returns the instances of which is says yes.
func (a *Address) at(is func(api.InstanceExplanation) bool) []api.InstanceExplanation {
	return slices.DeleteFunc(slices.Clone(a.Instances), func(i api.InstanceExplanation) bool { return !is(i) })
}

func names(list []api.InstanceExplanation) string {
	var out []string
	for _, i := range list {
		out = append(out, i.Instance)
	}
	return listOf(slices.Compact(out))
}

// listOf joins words as people do, the first five of them.
func listOf(words []string) string {
	if len(words) > 5 {
		words = append(slices.Clone(words[:5]), fmt.Sprintf("%d more", len(words)-5))
	}
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}

// ago is how long before now at was.
func ago(now, at time.Time) string { return discovery.About(now.Sub(at)) }

func forSince(now, at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return " for " + ago(now, at)
}

// Verdicts joins the first three.
func Verdicts(list []api.AddressExplanation, more int) string {
	var words []string
	for _, x := range list[:min(3, len(list))] {
		words = append(words, x.Verdict)
	}
	if n := len(list) - len(words) + more; n > 0 {
		words = append(words, fmt.Sprintf("%d more addresses are below.", n))
	}
	return strings.Join(words, " ")
}
