package reload

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/slotsync/slotsync/securedir"
	"github.com/slotsync/slotsync/slots"
)

// An Edit changes one section of the configuration: in the template if there is
// one, else in the file.
type Edit struct {
	// Type and Name of the section, as in "backend" and "web".
	Type, Name string
	// Body is the whole section, its first line included; nil deletes it.
	Body []byte
	// ETag is the one of what was read; "" for whatever is there.
	ETag string
	// By is the person who asks; Data what a template is rendered with.
	By   string
	Data Data
	// Force overwrites a file that was changed by hand since it was rendered.
	Force bool
}

func (t *Transaction) edited() string {
	if t.Renders() {
		return t.o.Template
	}
	return t.o.File
}

// Sections lists the sections of the template if there is one, else of the file,
// with the ETag of the whole: its SHA-256 in hex. It fails with [slots.ErrNotKept] where
// nothing can be edited.
func (t *Transaction) Sections() ([]Section, string, error) {
	text, etag, err := t.source()
	return sections(text), etag, err
}

// Section returns one section as it stands there, and the ETag of the whole. The
// error wraps [slots.ErrNoSection], or [slots.ErrBadSection] if there are several of that name.
func (t *Transaction) Section(typ, name string) ([]byte, string, error) {
	text, etag, err := t.source()
	if err != nil {
		return nil, "", err
	}
	s, err := findSection(text, typ, name)
	if err != nil {
		return nil, "", err
	}
	return text[s.from:s.to], etag, nil
}

func (t *Transaction) source() (text []byte, etag string, err error) {
	found, err := t.sourceSeen()
	return found.text, found.sum, err
}

func (t *Transaction) sourceSeen() (fileSnapshot, error) {
	if !t.keeps() {
		return fileSnapshot{}, slots.ErrNotKept
	}
	info, err := os.Stat(t.edited())
	if err != nil {
		return fileSnapshot{}, err
	}
	if info.IsDir() {
		return fileSnapshot{}, fmt.Errorf("%s is a folder: sections are edited where the configuration is one file", t.edited())
	}
	return t.snapshot(t.edited())
}

// Preview returns what e would change, as a unified diff, and changes nothing. Its
// errors are those of [Transaction.Edit] before the first step.
func (t *Transaction) Preview(e Edit) (string, error) {
	was, now, err := t.draft(e)
	if err != nil {
		return "", err
	}
	return unified(t.edited(), t.edited()+" (edited)", string(was.text), string(now)), nil
}

func (t *Transaction) draft(e Edit) (was fileSnapshot, now []byte, err error) {
	if was, err = t.sourceSeen(); err != nil {
		return was, nil, err
	}
	if e.ETag != "" && e.ETag != was.sum {
		return was, nil, fmt.Errorf("%s: %w", t.edited(), slots.ErrConfigChanged)
	}
	if e.Body == nil {
		now, err = deleteSection(was.text, e.Type, e.Name)
	} else {
		now, err = setSection(was.text, e.Body, e.Type, e.Name)
	}
	if err == nil && len(now) > maxFile {
		err = fmt.Errorf("%w: the whole would have more than %d bytes", slots.ErrBadSection, maxFile)
	}
	return was, now, err
}

// Edit makes the change and reloads HAProxy, with the steps and errors of
// [Transaction.Run]; where that puts the file from before back, the template from
// before is back as well. The errors before the first step are [slots.ErrNotKept],
// [slots.ErrConfigChanged], and those of [Transaction.Section].
func (t *Transaction) Edit(ctx context.Context, e Edit) (Result, error) {
	if _, _, err := t.draft(e); err != nil {
		return Result{}, err
	}
	what := sectionOf(e.Type, e.Name).String()
	a := &attempt{t: t, reason: "edit of " + what, by: e.By, force: e.Force || !t.Renders()}
	if e.Body == nil {
		a.reason = "removal of " + what
	}
	return a.transact(ctx, func() ([]byte, error) { return a.drafted(e) }, true)
}

func (a *attempt) drafted(e Edit) ([]byte, error) {
	was, now, err := a.t.draft(e)
	if err != nil {
		return nil, err
	}
	if !a.t.Renders() {
		return whole(now)
	}
	was.text = now
	a.template = &was
	return filled(a.t.o.Template, now, e.Data)
}

// templateBefore is what the template from before is called during a transaction.
const templateBefore = "template.before"

func (t *Transaction) dropTemplateBefore() error { return t.removeKept(templateBefore) }

// keepTemplate stores the template from before, and has the journal name the one
// that is to be.
func (a *attempt) keepTemplate() error {
	if a.template == nil {
		return nil
	}
	was, err := a.t.snapshot(a.t.o.Template)
	if err != nil {
		return err
	}
	if was.sum != a.template.sum {
		return fmt.Errorf("%s: %w", a.t.o.Template, slots.ErrConfigChanged)
	}
	a.journal.Pending.Template = sum(a.template.text)
	return a.t.write(filepath.Join(a.t.o.Dir, templateBefore), was.text, securedir.Private(), nil)
}

func (a *attempt) replaceTemplate() error {
	if a.template == nil {
		return nil
	}
	defer a.t.reached("replaced the template")
	return a.t.write(a.template.path, a.template.text, a.template.like, a.t.still(a.t.o.Template, a.template.sum, slots.ErrConfigChanged))
}

// still returns what looks once more, right before path is replaced, whether it has the
// text that was seen: who edits it meanwhile must not lose that.
func (t *Transaction) still(path, sum string, edited error) func() error {
	return func() error {
		now, err := t.snapshot(path)
		if err == nil && now.sum != sum {
			err = fmt.Errorf("%s: %w", path, edited)
		}
		return err
	}
}

// putTemplateBack puts the template from before in place, if the transaction has
// replaced it and nobody has changed it since.
func (a *attempt) putTemplateBack() error {
	if a.journal.Pending == nil || a.journal.Pending.Template == "" {
		return nil
	}
	now, err := a.t.snapshot(a.t.o.Template)
	if err != nil || now.sum != a.journal.Pending.Template {
		return err
	}
	before, err := a.t.readKept(templateBefore)
	if err != nil {
		return err
	}
	return a.t.write(now.path, before, now.like, a.t.still(a.t.o.Template, now.sum, slots.ErrConfigChanged))
}
