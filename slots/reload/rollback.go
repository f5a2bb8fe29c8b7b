package reload

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/slotsync/slotsync/securedir"
)

// abort ends an attempt whose reload failed. One that was only interrupted stays
// pending: what is in place was checked, and HAProxy may be on its way to it.
func (a *attempt) abort(ctx context.Context, err error, words string) error {
	if ctx.Err() == nil {
		return a.rollBack(ctx, err, words)
	}
	e := &Error{Step: a.res.Step, Err: context.Cause(ctx), Words: words, done: "the file was not changed"}
	if a.journal.Pending != nil {
		e.done = "the new file is in place, and the next start or reload goes on with it"
	}
	return e
}

// rollBack puts the file from before back and says who serves.
func (a *attempt) rollBack(ctx context.Context, cause error, words string) error {
	e := &Error{Step: a.res.Step, Err: cause, Words: words, advice: a.t.advice(a.res.Step)}
	var done []string
	if a.journal.Pending != nil {
		done = append(done, a.putBack(e))
	}
	if a.res.Step != StepReplace {
		done = append(done, a.revive(ctx, e.RolledBack))
	}
	// cut short here, the next start has to see whether HAProxy needs it again
	if a.journal.Pending != nil && e.RolledBack && ctx.Err() == nil {
		a.close(e)
	}
	e.done = strings.Join(done, "; ")
	a.res.RolledBack, a.res.Changed = e.RolledBack, a.res.Changed && !e.RolledBack
	return e
}

// putBack says what came of it.
func (a *attempt) putBack(e *Error) string {
	a.note(stepBack)
	a.t.reached("about to put back")
	if err := errors.Join(a.t.putBack(a.from, a.to), a.putTemplateBack()); err != nil {
		e.Err = errors.Join(e.Err, fmt.Errorf("and the file from before could not be put back: %w", err))
		return "the new file is in place, and the next start or reload tries again"
	}
	a.t.reached("put back")
	e.RolledBack = true
	return "the file from before is in place"
}

// revive reloads once more if an instance has stopped answering and the file is
// the one from before: it was the new one that brought it down.
func (a *attempt) revive(ctx context.Context, rolledBack bool) string {
	found := a.t.inspect(ctx, a.before)
	if len(found.dead) == 0 || !rolledBack {
		return found.String()
	}
	limited, cancel := a.t.limit(ctx)
	defer cancel()
	_, err := a.t.o.Reloader.Reload(limited)
	a.t.reached("reloaded again")
	say := found.String() + "; reloaded once more with it"
	if err != nil {
		say += ", which failed: " + err.Error()
	}
	return say + "; then " + a.t.inspect(ctx, a.before).String()
}

// close ends the pending transaction in the journal. Installed stays: what was
// there before was put there by us, or changed by hand then as now.
func (a *attempt) close(e *Error) {
	if err := a.closeJournal(); err != nil {
		e.Err = errors.Join(e.Err, fmt.Errorf("and the journal could not be closed: %w", err))
	}
	a.t.reached("closed the journal")
}

// putBack replaces the file by what was there before, be it nothing. The backup
// is preferred: it needs no space, and it is the very file. What is neither from nor to
// is a person's, and stays.
func (t *Transaction) putBack(from, to Version) error {
	now, err := t.snapshot(t.o.File)
	if err != nil {
		return err
	}
	if now.sum == from.SHA256 {
		return nil
	}
	if now.sum != to.SHA256 {
		return fmt.Errorf("%s: %w", t.o.File, ErrChangedByHand)
	}
	if from.ID == "" {
		return t.within(filepath.Dir(now.path), func(dir *securedir.Dir) error {
			return errors.Join(dir.Remove(filepath.Base(now.path)), dir.Sync())
		})
	}
	if put, err := t.restoreBackup(now.path, from); put {
		return err
	}
	_, text, err := t.Version(from.ID)
	if err != nil {
		return err
	}
	return t.write(now.path, text, now.like, t.still(t.o.File, now.sum, ErrChangedByHand))
}

// restoreBackup puts the backup in place of the file at path, if it has the text of from.
func (t *Transaction) restoreBackup(path string, from Version) (put bool, err error) {
	err = t.within(filepath.Dir(path), func(dir *securedir.Dir) error {
		text, _, err := dir.Read(backupName(path), maxFile)
		if err != nil || sum(text) != from.SHA256 {
			return err
		}
		if err := dir.Rename(backupName(path), filepath.Base(path)); err != nil {
			return err
		}
		put = true
		return dir.Sync()
	})
	return put, err
}
