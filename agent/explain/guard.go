package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
)

// Guard says what the guard makes of what the sources say.
func Guard(b api.BackendStatus, e *Explanation) api.GuardExplanation {
	g := api.GuardExplanation{State: "published", InForce: len(b.Endpoints), Hold: b.Hold}
	switch {
	case b.Hold != nil:
		g.State = "held"
		if b.Hold.Kind == guard.Empty || b.Hold.Kind == guard.Removal {
			g.ConfirmationsNeeded = guard.Confirmations
		}
		g.Why = holdWords(b.Hold, e)
	case b.Turnover != nil:
		g.State = "turnover"
		g.Why = fmt.Sprintf("the %d endpoints of before stay besides those that replace them until one of these is up, for another %s at most.",
			len(b.Turnover.Leaving), ago(b.Turnover.EndsAt, e.At))
	case b.Phase == api.PhaseWaiting:
		g.State, g.Why = "waiting", waitingWords(e)
	case b.Phase == api.PhaseRestored:
		g.State = "restored"
		g.Why = fmt.Sprintf("%d endpoints of the state directory are in force: no source has answered since the start.", g.InForce)
	default:
		g.Why = inForceWords(b, e, g.InForce)
	}
	return g
}

// inForceWords says on what word the endpoints are in force.
func inForceWords(b api.BackendStatus, e *Explanation, n int) string {
	kept := 0
	for _, s := range b.Kept {
		kept += len(s.Endpoints)
	}
	failing := slices.ContainsFunc(e.Sources, func(s api.SourceExplanation) bool { return s.InUse && s.State == "failing" })
	switch {
	case failing:
		return fmt.Sprintf("%d endpoints are in force, as the sources said last; nothing is held.", n)
	case kept > 0:
		return fmt.Sprintf("%d endpoints are in force: %d as the sources say, and %d that are kept; nothing is held.", n, max(n-kept, 0), kept)
	}
	return fmt.Sprintf("%d endpoints are in force, as the sources say; nothing is held.", n)
}

// waitingWords says what is waited for.
func waitingWords(e *Explanation) string {
	var words []string
	for _, s := range e.Sources {
		switch {
		case s.LastError != "":
			words = append(words, s.Name+" does not answer ("+s.LastError+")")
		case s.Answered.IsZero():
			words = append(words, s.Name+" has not answered yet")
		case s.Ready+s.Drain+s.Down == 0:
			words = append(words, s.Name+" has never listed an endpoint: is the name right?")
		}
	}
	if len(words) == 0 {
		return "no slot is touched before the slots are known."
	}
	return "no slot is touched: " + ended(strings.Join(words, "; "))
}

// ended gives a sentence its end, if it has none.
func ended(words string) string {
	if strings.HasSuffix(words, "?") || strings.HasSuffix(words, ".") {
		return words
	}
	return words + "."
}

// holdWords says what is held, why, and what ends it.
func holdWords(h *api.Hold, e *Explanation) string {
	n := len(h.WouldRemove)
	var what string
	switch h.Kind {
	case guard.Empty:
		what = fmt.Sprintf("the sources list nothing any more, all at once: the last %d stay in force", n)
	case guard.Removal:
		what = fmt.Sprintf("the sources lack %d at once: they stay in force", n)
	case api.HoldTakeover:
		what = fmt.Sprintf("%d live addresses are listed by no source: they are left alone", n)
	case guard.Unhealthy:
		what = fmt.Sprintf("every endpoint that is registered is unhealthy: the %d that served last go on", n)
	default:
		what = fmt.Sprintf("held (%s): %d stay in force", h.Kind, n)
	}
	accept := "`slotsync accept " + e.Name + " " + h.ID + "`"
	switch {
	case h.Kind == guard.Unhealthy:
		return what + " as long as that lasts, or until " + accept + "."
	case h.ReleasesAt.IsZero():
		return what + " until " + accept + "."
	}
	return fmt.Sprintf("%s for another %s if it is confirmed (%d of %d), or until %s.", what, ago(h.ReleasesAt, e.At),
		min(h.Confirmations, guard.Confirmations), guard.Confirmations, accept)
}

// BackendVerdict says what one has to know of a backend first.
func BackendVerdict(b api.BackendStatus, instances []api.InstanceStatus, e *Explanation) string {
	words := backendWords(b, e)
	if e.Guard.State != "waiting" && e.Guard.State != "restored" { // which names them
		words += e.silence()
	}
	for _, in := range instances {
		switch {
		case !in.Up:
			words += " " + in.Name + " does not answer" + because(in.LastError) + "."
		case !in.InSync:
			words += " " + in.Name + " is not in step yet."
		}
	}
	return words
}

func backendWords(b api.BackendStatus, e *Explanation) string {
	switch {
	case b.Problem != "":
		return fmt.Sprintf("%s cannot be filled: %s", e.Name, ended(b.Problem))
	case e.Guard.State == "waiting", e.Guard.State == "restored":
		return fmt.Sprintf("%s waits: %s", e.Name, e.Guard.Why)
	case e.Guard.State == "turnover":
		return fmt.Sprintf("%s changes over: %s", e.Name, e.Guard.Why)
	case e.Guard.State == "held":
		return fmt.Sprintf("%s is held: %s", e.Name, e.Guard.Why)
	case len(b.Overflow) > 0:
		why := ""
		if b.NeedReload != nil {
			why = b.NeedReload.Why
		}
		return fmt.Sprintf("%s lacks slots: %d endpoints have none of its %d%s.", e.Name, len(b.Overflow), e.Slots, because(why))
	case b.Paused != nil:
		return fmt.Sprintf("%s is paused for another %s by %s: nothing is written.", e.Name, ago(*b.Paused, e.At), b.PausedBy)
	}
	return fmt.Sprintf("%s is as its sources say: %d endpoints in %d slots.", e.Name, len(b.Endpoints), e.Slots)
}
