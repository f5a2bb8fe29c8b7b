package output

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
)

// WriteExplanation writes e for people, the verdict first. Everything from outside
// is made printable.
func WriteExplanation(w io.Writer, e api.Explanation) error {
	b := &strings.Builder{}
	if len(e.Addresses) == 1 || e.About == "" {
		fmt.Fprintf(b, "%s\n", textfmt.OneLine(e.Verdict))
	} else {
		for _, x := range e.Addresses {
			fmt.Fprintf(b, "%s\n", textfmt.OneLine(x.Verdict))
		}
	}
	for _, x := range e.Addresses {
		explainAddress(b, e, x)
	}
	if e.More > 0 {
		fmt.Fprintf(b, "\n%d more addresses are not shown.\n", e.More)
	}
	fmt.Fprintf(b, "\nGUARD\n  %s\n", textfmt.OneLine(e.Guard.Why))
	if h := e.Guard.Hold; h != nil {
		fmt.Fprintf(b, "  held (%s) for %s: %s%s\n", h.Kind, passed(e.At, h.Since), textfmt.List(h.WouldRemove, 10), acceptCommand(e.Name, h.ID))
	}
	for _, s := range e.Sources {
		explainSource(b, e, s)
	}
	fmt.Fprintf(b, "\nBACKEND %s\n  %s of HAProxy's backend %s, %d of them free; %s\n", e.Name, textfmt.Count(e.Slots, "slot"), e.Backend, e.Free, api.PhaseWords(e.Phase))
	_, err := io.WriteString(w, strings.ReplaceAll(textfmt.Printable(b.String()), "\t", "."))
	return err
}

// explainAddress shows one address: who says what of it, and every slot it has to
// do with.
func explainAddress(b *strings.Builder, e api.Explanation, x api.AddressExplanation) {
	title := "ADDRESS " + x.Address
	if x.Address == "" {
		title = "SLOT " + x.Slot
	}
	fmt.Fprintf(b, "\n%s%s\n", title, named(x.Name))
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, s := range x.Said {
		fmt.Fprintf(table, "  %s says\t%s\n", textfmt.Clip(s.Source), sourceViewWords(s, e.At))
	}
	fmt.Fprintf(table, "  in force\t%s\n", forceWords(x, e.At))
	if k := x.Kept; k != nil {
		fmt.Fprintf(table, "  kept\t%s\n", keptWords(*k, e))
	}
	for _, o := range x.Overrides {
		fmt.Fprintf(table, "  override\t%s\n", overrideWords(o, e.At))
	}
	fmt.Fprintf(table, "  slot\t%s\n", slotWords(x, e.At))
	_ = table.Flush() // into memory
	table = tabwriter.NewWriter(b, 2, 0, 2, ' ', 0)
	for i, at := range x.Instances {
		if i == 0 {
			fmt.Fprintln(table, "\n  INSTANCE\tSLOT\tADDRESS\tSTATE\tWEIGHT\tCHECK\tSESSIONS\tSINCE\tTRAFFIC")
		}
		fmt.Fprint(table, "  ")
		tableLine(table, at.Instance, dash(at.Slot), dash(at.Address), stateWords(at), strconv.Itoa(at.Weight), dash(at.Check),
			sessionWords(at.Sessions), passed(e.At, at.Since), trafficWords(at))
	}
	_ = table.Flush()
	for _, at := range x.Instances {
		explainSaid(b, e.At, at)
	}
}

func explainSaid(b *strings.Builder, now time.Time, at api.InstanceExplanation) {
	if len(at.Said) == 0 {
		return
	}
	fmt.Fprintf(b, "\n  said to %s about %s\n", at.Instance, at.Slot)
	for _, s := range at.Said {
		reply := "(nothing)" // as HAProxy does when all is well
		switch {
		case !s.Answered:
			reply = "(no reply)"
		case s.Reply != "":
			reply = textfmt.OneLine(s.Reply)
		}
		fmt.Fprintf(b, "    %8s  %s\n              reply: %s\n", passed(now, s.At)+" ago", textfmt.OneLine(s.Command), reply)
	}
}

// explainSource shows what was asked, what came back, and when it is asked again.
func explainSource(b *strings.Builder, e api.Explanation, s api.SourceExplanation) {
	fmt.Fprintf(b, "\nSOURCE %s (%s)\n", s.Name, textfmt.OneLine(s.Asks))
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	row := func(what, words string) {
		if words != "" {
			fmt.Fprintf(table, "  %s\t%s\n", what, textfmt.OneLine(words))
		}
	}
	state := s.StateWords()
	if !s.InUse {
		state += ", stands by"
	}
	row("state", state)
	row("asked", timed(s.Activity.Question, e.At, s.Activity.Asked))
	row("answered", timed(s.Activity.Answer, e.At, s.Activity.Answered))
	if !s.Answered.IsZero() {
		row("lists", timed(fmt.Sprintf("%d ready, %d draining, %d down", s.Ready, s.Drain, s.Down), e.At, s.Answered))
	}
	for _, p := range s.Parts {
		row("not whole", p.Words())
	}
	if s.PartsMore > 0 {
		row("not whole", fmt.Sprintf("%d more parts", s.PartsMore))
	}
	if s.Kept > 0 {
		row("kept", textfmt.Count(s.Kept, "endpoint"))
	}
	row("rests on", s.Note)
	row("error", s.LastError)
	row("asked again", againWords(s, e.At))
	for _, remark := range s.Activity.Remarks {
		row("remark", remark)
	}
	for _, x := range s.Rejected {
		row("rejected", strings.TrimSpace(x.Name+" "+x.Value)+" ("+x.Reason+"): "+discovery.WhyRefused(x.Reason))
	}
	if more := s.RejectedTotal - len(s.Rejected); more > 0 {
		row("rejected", fmt.Sprintf("%d more", more))
	}
	_ = table.Flush()
}

func againWords(s api.SourceExplanation, now time.Time) string {
	if s.Next.After(now) {
		return "in " + textfmt.About(s.Next.Sub(now))
	}
	return "it is being asked, or waited for"
}

func sourceViewWords(s api.SourceView, now time.Time) string {
	words := s.Says
	if s.Weight > 0 {
		words += fmt.Sprintf(", weight %d", s.Weight)
	}
	if s.Reason != "" {
		words += " (" + s.Reason + ")"
	}
	if s.Says == api.SaysUnlisted && s.LastListed.IsZero() {
		words += ", and never was"
	} else if s.Says == api.SaysUnlisted {
		words += ", last " + passed(now, s.LastListed) + " ago"
	}
	return discovery.Printable(words+named(s.Name), 200)
}

func forceWords(x api.AddressExplanation, now time.Time) string {
	if x.InForce == nil {
		return "no"
	}
	words := x.InForce.State.String()
	if x.InForce.Reason != "" {
		words += " (" + x.InForce.Reason + ")"
	}
	if x.Held {
		words += ", held"
	}
	if !x.LeavesAt.IsZero() {
		words += ", leaves in " + passed(x.LeavesAt, now)
	}
	return discovery.Printable(words, 200)
}

// keptWords says of which part an address is kept, why, since when, and how that ends.
func keptWords(k api.KeptAddress, e api.Explanation) string {
	words := api.KeptSet{Source: k.Source, Part: k.Part, Reason: k.Reason}.Words() + ", for " + passed(e.At, k.Since)
	if k.Yielded {
		words += "; it gave its slot to one that is listed"
	}
	return discovery.Printable(words, 300) + acceptCommand(e.Name, k.ID)
}

func slotWords(x api.AddressExplanation, now time.Time) string {
	switch {
	case x.Slot == "":
		return "none (" + x.NoSlot + ")"
	case x.NoSlot != "":
		return x.Slot + " (" + x.NoSlot + ")"
	case !x.Since.IsZero():
		return x.Slot + ", for " + passed(now, x.Since)
	}
	return x.Slot
}

func stateWords(at api.InstanceExplanation) string {
	if at.Lacking {
		return "-"
	}
	return at.State.String()
}

func sessionWords(n int) string {
	if n < 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func trafficWords(at api.InstanceExplanation) string {
	switch {
	case at.Why != "":
		return "no: " + textfmt.OneLine(at.Why)
	case at.Traffic:
		return "yes"
	}
	return "no"
}

// timed is text and how long ago that was; "" if there is none.
func timed(text string, now, at time.Time) string {
	if text == "" || at.IsZero() {
		return text
	}
	return text + ", " + passed(now, at) + " ago"
}

// passed is how long before now at was.
func passed(now, at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return textfmt.About(now.Sub(at))
}

func named(name string) string {
	if name == "" {
		return ""
	}
	return " (" + discovery.Printable(name, 60) + ")"
}

func overrideWords(o api.Override, now time.Time) string {
	words := strings.TrimSpace(o.Kind + " " + o.State + o.Weight)
	if o.By != "" {
		words += " by " + o.By
	}
	words += ", " + passed(now, o.Since) + " ago"
	if o.Until != nil {
		words += ", for another " + passed(*o.Until, now)
	}
	if o.Reason != "" {
		words += ": " + o.Reason
	}
	return discovery.Printable(words, 200)
}
