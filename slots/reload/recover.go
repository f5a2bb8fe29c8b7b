package reload

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Recover is to be called at the start: it ends a transaction that was cut
// short. The bool says whether there was one, and Result.Words what was done
// about it:
//
//	the file was not yet replaced     it stays
//	it was, HAProxy not yet reloaded  the reload goes on, as in Run
//	all instances run it already      it is the good one
//	it was being put back             it is put back
//	it was changed by hand since      it stays; the error wraps ErrChangedByHand
//
// A journal that cannot be read is set aside, and its error returned. Recover
// blocks as Run does.
func (t *Transaction) Recover(ctx context.Context) (Result, bool, error) {
	if !t.begun() {
		return Result{}, false, nil
	}
	release, err := t.begin(true)
	if errors.Is(err, ErrBusy) {
		return Result{}, false, err
	}
	if err != nil {
		return Result{}, false, t.unchanged(StepKeep, err, "")
	}
	defer release()
	if j, err := t.loadJournal(); err == nil && j.Pending != nil {
		together, err := t.lockReloader()
		if err != nil {
			return Result{}, false, err
		}
		defer together()
	}
	res, had, err := t.finishInterrupted(ctx)
	if found, lookErr := t.snapshot(t.o.File); lookErr == nil {
		t.sweepAll(found.path)
	}
	return res, had, err
}

// sweepAll removes temporary files of processes that were killed. A backup that may
// still be needed stays.
func (t *Transaction) sweepAll(path string) {
	if j, err := t.loadJournal(); err == nil && j.Pending == nil {
		t.sweep(path)
		t.sweep(t.journalPath())
		_ = t.dropTemplateBefore() // as the others: it takes a little space
	}
}

// finishInterrupted ends a transaction that another process began and did not end.
func (t *Transaction) finishInterrupted(ctx context.Context) (Result, bool, error) {
	j, err := t.loadJournal()
	if err != nil {
		return Result{}, true, t.unchanged(StepKeep, t.setJournalAside(err), "")
	}
	if j.Pending == nil {
		return Result{}, false, nil
	}
	found, err := t.snapshot(t.o.File)
	if err != nil {
		return Result{}, true, t.unchanged(StepReplace, err, "")
	}
	p := j.Pending
	a := &attempt{
		t: t, reason: p.Reason, by: p.By, from: p.From, to: p.To, before: p.Before, found: found, journal: j,
		res: Result{At: time.Now(), Reason: p.Reason, Step: p.Step, Version: p.To.ID},
	}
	err = a.resume(ctx)
	a.res.Took = time.Since(a.res.At)
	return a.res, true, err
}

// resume decides by the file and the step how to go on.
func (a *attempt) resume(ctx context.Context) error {
	step := a.journal.Pending.Step
	switch at := a.found.sum; {
	case at == a.from.SHA256 && step == StepReplace:
		a.res.Step = StepReplace
		if err := a.putTemplateBack(); err != nil {
			return a.t.unchanged(StepReplace, err, "")
		}
		a.addWords("a reload was cut short before the file was replaced; the file is the one from before")
		return a.forget()
	case at == a.to.SHA256 && step == StepReload:
		return a.goOn(ctx, step)
	case at == a.from.SHA256, at == a.to.SHA256 && step == stepBack:
		a.res.Step = StepReload
		cause := errors.New("cut short while the file from before was put back")
		if e, ok := errors.AsType[*Error](a.rollBack(ctx, cause, "")); ok && !e.RolledBack {
			return e
		} else if ok {
			a.addWords("a reload that had failed was cut short; " + e.done)
		}
		return nil
	case at == a.to.SHA256:
		return a.goOn(ctx, step)
	}
	return a.leave()
}

// goOn continues after the new file was put in place.
func (a *attempt) goOn(ctx context.Context, step Step) error {
	a.res.Changed = true
	if step == StepReload && a.allRenewed(ctx) {
		a.res.Step = StepWorker
		a.addWords("a reload was cut short after HAProxy had taken the new file; nothing was left to do")
		return a.finish()
	}
	a.addWords("a reload was cut short after the file was replaced; it went on from there")
	before := a.before
	if err := a.noteOldWorkers(ctx, false); err != nil {
		// those that answered when it began are the ones that may have died of it
		a.before = before
		a.res.Step = StepReload
		return a.abort(ctx, errors.Unwrap(err), "")
	}
	return a.reload(ctx)
}

// allRenewed reports whether every instance shows a new process, without waiting
// for one.
func (a *attempt) allRenewed(ctx context.Context) bool {
	found := a.t.inspect(ctx, a.before)
	return len(a.before) == len(a.t.o.Instances) && len(found.renewed) == len(a.t.o.Instances)
}

// leave gives way to a person.
func (a *attempt) leave() error {
	a.res.Step = StepReplace
	a.journal.Installed = a.to.SHA256
	err := fmt.Errorf("a reload was cut short, and %s: %w", a.t.o.File, ErrChangedByHand)
	return &Error{
		Step: StepReplace, Err: errors.Join(err, a.forget()),
		done: "the file stays as it is", advice: "reload HAProxy when it is as it should be",
	}
}

// forget closes the journal and changes nothing else.
func (a *attempt) forget() error {
	return a.t.unchanged(StepKeep, a.closeJournal(), "")
}

// closeJournal ends the pending transaction, and drops what it may have needed.
func (a *attempt) closeJournal() error {
	a.journal.Pending = nil
	return errors.Join(a.t.saveJournal(a.journal), a.t.dropBackup(a.found.path), a.t.dropTemplateBefore())
}
