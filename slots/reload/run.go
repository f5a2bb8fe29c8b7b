package reload

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// An attempt is one transaction while it runs.
type attempt struct {
	t      *Transaction
	reason string
	by     string
	force  bool
	// unmanaged: the file is not rendered here, and stays.
	unmanaged bool
	// template is the new one, nil where it stays.
	template *fileSnapshot

	text     []byte
	found    fileSnapshot // the file as it was
	from, to Version
	before   map[string]slots.Process
	journal  journal
	res      Result
}

// Run renders, checks, keeps, replaces and reloads, and returns when every
// instance has shown a new process that serves. Nothing is reloaded if the
// rendering is what the file has already, unless a person asks. Each step is
// bounded by Options.Timeout.
//
// Errors are [ErrBusy], or an [*Error]. One before the file is replaced leaves
// everything as it was; a later one puts the file from before back, and reloads
// again only if an instance has stopped answering. If ctx ends in between, the
// new file stays, and the next Run or [Transaction.Recover] goes on with it.
func (t *Transaction) Run(ctx context.Context, r Request) (Result, error) {
	a := &attempt{t: t, reason: r.Reason, by: r.By, force: r.Force, unmanaged: !t.Renders()}
	return a.transact(ctx, func() ([]byte, error) { return t.render(r.Data) }, r.By != "")
}

// Restore puts a version in place again, as Run does with what it renders. A
// file that was changed by hand is overwritten, and kept as a version. The next
// rendering with other endpoints or another template overwrites the restored
// file.
func (t *Transaction) Restore(ctx context.Context, id, by string) (Result, error) {
	if !t.keeps() {
		return Result{}, slots.ErrNotKept
	}
	_, text, err := t.Version(id)
	if err != nil {
		return Result{}, err
	}
	a := &attempt{t: t, reason: "restore of " + id, by: by, force: true}
	return a.transact(ctx, func() ([]byte, error) { return text, nil }, true)
}

func (a *attempt) transact(ctx context.Context, text func() ([]byte, error), asked bool) (Result, error) {
	kept := !a.unmanaged || a.t.begun()
	release, err := a.t.begin(kept)
	if errors.Is(err, ErrBusy) {
		return Result{}, err
	}
	if err != nil {
		return Result{}, a.t.unchanged(StepKeep, err, "")
	}
	defer release()
	together, err := a.t.lockReloader()
	if err != nil {
		return Result{}, err
	}
	defer together()
	if kept {
		if res, _, err := a.t.finishInterrupted(ctx); err != nil {
			return res, err
		}
	}
	a.res = Result{At: time.Now(), Reason: a.reason}
	if a.unmanaged {
		err = a.runUnmanaged(ctx, asked)
	} else {
		err = a.run(ctx, text, asked)
	}
	a.res.Took = time.Since(a.res.At)
	return a.res, err
}

// runUnmanaged reloads with a file that is not rendered here.
func (a *attempt) runUnmanaged(ctx context.Context, asked bool) error {
	a.res.Step = StepCheck
	words, err := a.t.checkFile(ctx)
	if err != nil {
		return a.refused(err, words)
	}
	a.addWords(words)
	if err := a.noteOldWorkers(ctx, asked); err != nil {
		return err
	}
	return a.reload(ctx)
}

func (a *attempt) run(ctx context.Context, text func() ([]byte, error), asked bool) (err error) {
	a.res.Step = StepRender
	if a.text, err = text(); err != nil {
		return a.refused(err, "")
	}
	if err := a.compare(); err != nil {
		return err
	}
	if !a.changes() && !asked {
		return a.adopt()
	}
	a.res.Step = StepCheck
	words, err := a.t.check(ctx, a.text)
	if err != nil {
		return a.refused(err, words)
	}
	a.addWords(words)
	if err := a.noteOldWorkers(ctx, asked); err != nil {
		return err
	}
	if err := a.keep(); err != nil {
		return err
	}
	if err := a.replace(ctx); err != nil {
		return err
	}
	return a.reload(ctx)
}

func (a *attempt) compare() (err error) {
	if a.journal, err = a.t.loadJournal(); err != nil {
		return a.t.unchanged(StepKeep, err, "")
	}
	if a.found, err = a.t.snapshot(a.t.o.File); err != nil {
		return a.t.unchanged(StepReplace, err, "")
	}
	if a.changes() && !a.force && a.journal.changed(a.found) {
		return a.byHand()
	}
	for _, file := range a.replaces() {
		if err := a.t.replaceable(file); err != nil {
			a.res.Step = StepReplace
			return a.t.unchanged(StepReplace, err, "")
		}
	}
	return nil
}

func (a *attempt) replaces() []fileSnapshot {
	var list []fileSnapshot
	if a.changes() {
		list = append(list, a.found)
	}
	if a.template != nil {
		list = append(list, *a.template)
	}
	return list
}

func (a *attempt) changes() bool { return a.found.sum != sum(a.text) }

func (a *attempt) byHand() error {
	a.res.Step = StepReplace
	return &Error{
		Step: StepReplace, Err: fmt.Errorf("%s: %w", a.t.o.File, ErrChangedByHand), done: "nothing was changed",
		advice: a.t.byHandAdvice(),
	}
}

// adopt remembers that the file is what would be rendered, whoever put it there.
func (a *attempt) adopt() error {
	if a.journal.Installed == a.found.sum {
		return nil
	}
	a.journal.Installed = a.found.sum
	return a.t.unchanged(StepKeep, a.t.saveJournal(a.journal), "")
}

// noteOldWorkers notes which processes are to be replaced, and waits until the last
// reload is over. A person may ask for a reload of instances that do not answer.
func (a *attempt) noteOldWorkers(ctx context.Context, asked bool) (err error) {
	wait := a.t.o.Timeout
	if asked {
		wait = min(wait, probeTimeout)
	}
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	a.before, err = a.t.await(limited, serves)
	if err == nil || asked && ctx.Err() == nil {
		return nil
	}
	a.res.Step = StepReload
	return a.t.unchanged(StepReload, fmt.Errorf("a new worker could not be told from the old one: %w", err), "")
}

// reload makes HAProxy take the file, and waits for those who do.
func (a *attempt) reload(ctx context.Context) (err error) {
	a.res.Step = StepReload
	a.note(StepReload)
	a.t.reached("about to reload")
	limited, cancel := a.t.limit(ctx)
	words, err := a.t.o.Reloader.Reload(limited)
	cancel()
	words = clean(words)
	a.addWords(words)
	if err != nil && !a.cameNevertheless(ctx) {
		return a.abort(ctx, err, words)
	}
	if err != nil {
		a.addWords("new workers answer, although: " + err.Error())
	}
	a.t.reached("reloaded")
	a.res.Step = StepWorker
	limited, cancel = a.t.limit(ctx)
	defer cancel()
	a.res.Workers, err = a.t.await(limited, successor(a.before))
	if err != nil {
		return a.abort(ctx, fmt.Errorf("no new worker within %s: %w", a.t.o.Timeout, err), words)
	}
	a.t.reached("new workers answered")
	return a.finish()
}

// cameNevertheless reports whether every instance shows a new worker although
// the reload was said to have failed.
func (a *attempt) cameNevertheless(ctx context.Context) bool {
	soon, cancel := context.WithTimeout(ctx, 2*pollEvery)
	defer cancel()
	_, err := a.t.await(soon, successor(a.before))
	return err == nil
}

func (a *attempt) addWords(words string) {
	a.res.Words = strings.TrimSpace(a.res.Words + "\n" + words)
}

func (a *attempt) refused(err error, words string) error {
	a.addWords(words)
	return a.t.unchanged(a.res.Step, err, words)
}
