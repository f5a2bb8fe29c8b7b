package reload

import (
	"context"
	"errors"
	"fmt"
)

func (a *attempt) keep() (err error) {
	a.res.Step = StepKeep
	if a.from, err = a.t.keepFound(a.found); err != nil {
		return a.refused(err, "")
	}
	a.t.reached("kept what was found")
	if !a.changes() {
		a.to = a.from
	} else if a.to, err = a.t.keep(a.text, a.reason, a.by); err != nil {
		return a.refused(err, "")
	}
	a.res.Version = a.to.ID
	if err := a.t.prune(a.journal.Installed, a.from.ID, a.to.ID); err != nil {
		return a.refused(err, "")
	}
	a.t.reached("kept what was rendered")
	return nil
}

// replace puts the new file in place, after the journal says so.
func (a *attempt) replace(ctx context.Context) error {
	if !a.changes() && a.template == nil {
		return nil
	}
	a.res.Step = StepReplace
	if err := ctx.Err(); err != nil {
		return a.refused(err, "")
	}
	now, err := a.t.snapshot(a.t.o.File)
	if err != nil {
		return a.refused(err, "")
	}
	if now.sum != a.found.sum {
		return a.byHand()
	}
	a.journal.Pending = &pending{
		Step: StepReplace, At: a.res.At, Reason: a.reason, By: a.by, From: a.from, To: a.to, Before: a.before,
	}
	err = a.keepTemplate()
	if err == nil {
		err = a.t.saveJournal(a.journal)
	}
	if err != nil {
		a.res.Step = StepKeep
		return a.refused(err, "")
	}
	a.t.reached("wrote the journal")
	if err := a.replaceTemplate(); err != nil {
		return a.notReplaced(ctx, err)
	}
	if !a.changes() {
		return nil
	}
	if a.found.exists {
		// a file system without links is no reason to stop: there is the version
		_ = a.t.makeBackup(a.found.path)
	}
	a.t.reached("set aside")
	err = a.t.write(a.found.path, a.text, a.found.like, a.t.still(a.t.o.File, a.found.sum, ErrChangedByHand))
	if errors.Is(err, ErrChangedByHand) {
		if err := errors.Join(a.putTemplateBack(), a.forget()); err != nil {
			return a.refused(err, "")
		}
		return a.byHand()
	}
	if err != nil {
		return a.notReplaced(ctx, err)
	}
	a.res.Changed = true
	a.t.reached("replaced")
	return nil
}

// notReplaced ends an attempt whose file could not be written, or was and may
// not survive a crash.
func (a *attempt) notReplaced(ctx context.Context, cause error) error {
	now, err := a.t.snapshot(a.t.o.File)
	if err != nil || now.sum != a.from.SHA256 {
		return a.rollBack(ctx, cause, "")
	}
	if err := errors.Join(a.putTemplateBack(), a.forget()); err != nil {
		cause = errors.Join(cause, err)
	}
	return a.refused(cause, "")
}

// note brings the journal up to date. That it cannot be written is no reason to
// stop half-way: an older step in it only leads to one more reload.
func (a *attempt) note(s Step) {
	if a.journal.Pending != nil {
		a.journal.Pending.Step = s
		_ = a.t.saveJournal(a.journal)
	}
}

// finish makes the new version the good one.
func (a *attempt) finish() error {
	if a.unmanaged {
		return nil
	}
	a.to.Good = true
	goodErr := a.t.writeFacts(a.to)
	a.t.reached("called it good")
	a.journal.Pending, a.journal.Installed = nil, a.to.SHA256
	journalErr := a.t.saveJournal(a.journal)
	a.t.reached("closed the journal")
	dropErr := errors.Join(a.t.dropBackup(a.found.path), a.t.dropTemplateBefore())
	err := errors.Join(goodErr, journalErr, dropErr)
	if err == nil {
		return nil
	}
	return &Error{
		Step: a.res.Step, Err: fmt.Errorf("the record of this reload cannot be written: %w", err),
		done: "HAProxy runs " + a.t.o.File + " all the same", advice: a.t.advice(StepKeep),
	}
}
