// Package reload renders HAProxy's configuration file, keeps its versions and
// reloads HAProxy with it as a transaction: whatever fails, and whenever the
// process is killed, HAProxy goes on serving and the file on disk is a whole one
// that was checked, or the one from before.
package reload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/slotsync/slotsync/securedir"
	"github.com/slotsync/slotsync/slots"
)

// Defaults of [Options].
const (
	DefaultKeep    = 10
	DefaultTimeout = 60 * time.Second
)

const (
	// pollEvery is how often an instance is asked whether its worker is there.
	pollEvery = 50 * time.Millisecond
	// probeTimeout bounds one question to an instance: a worker that hangs must
	// not hide the one that follows it.
	probeTimeout = 5 * time.Second
	// maxFile bounds the template and what is rendered, maxWords what a program
	// has to say.
	maxFile  = 16 << 20
	maxWords = 64 << 10
)

// Errors that a caller tells apart with errors.Is; those of package slots are the others.
var (
	// ErrBusy: another transaction on the same file, or one that reloads in the same
	// way (see [Locker]), runs in this process or in another one.
	ErrBusy = errors.New("another reload is in progress; try again when it is done")
	// ErrChangedByHand: the file is not what was put in place last.
	ErrChangedByHand = errors.New("the file was changed by hand since it was rendered")
)

// Options of one configuration file and of the way to reload it.
type Options struct {
	// Template is the path of a text/template. "": the file is somebody else's;
	// it is not rendered, and replaced only where a person edits or restores it.
	Template string
	// File is HAProxy's configuration file. A symbolic link is followed.
	File string
	// Check is the program that judges a file and its arguments, in which
	// "{{.File}}" stands for the file, and "{{.Dir}}" for a folder with that file and
	// the others beside it. Empty: HAProxy judges at the reload.
	Check []string
	// Keep is how many versions are kept besides those that may have to be put
	// back; 0 stands for [DefaultKeep].
	Keep int
	// Dir is where versions and the journal are; mode 0700. It belongs to File
	// alone. "" (without a template only): nothing is kept, so that nothing can be
	// edited.
	Dir string
	// Folders says which folders are good enough for File and Dir.
	Folders securedir.Policy
	// Timeout bounds each step; 0 stands for [DefaultTimeout].
	Timeout time.Duration
	// Reloader is how HAProxy is reloaded.
	Reloader Reloader
	// Instances share this reload, in configured order; at least one.
	Instances []Instance
}

// A Reloader makes HAProxy load its configuration file again.
type Reloader interface {
	// Reload returns what was said about it. An error means that HAProxy
	// refused, or that nobody knows. It returns when ctx is done.
	Reload(ctx context.Context) (words string, err error)
	// String names it, as in "systemctl reload haproxy".
	String() string
}

// A Locker is a [Reloader] that others may have, too, in this process or in another, as
// a master that two instances name.
type Locker interface {
	// Lock keeps the others out until it is closed, or the process ends. It does not
	// wait: if somebody has it already, the error says who.
	Lock() (io.Closer, error)
}

// An Instance is one HAProxy that the reload replaces.
type Instance interface {
	Name() string
	// Process returns which process answers on a fresh connection.
	Process(ctx context.Context) (slots.Process, error)
}

// A Step of the transaction, in order.
type Step string

// The steps.
const (
	StepRender  Step = "render"
	StepCheck   Step = "check"
	StepKeep    Step = "keep"
	StepReplace Step = "replace"
	StepReload  Step = "reload"
	StepWorker  Step = "worker"
)

// stepBack is in the journal while what was there before is put back.
const stepBack Step = "back"

// A Request asks for a transaction.
type Request struct {
	Data   Data
	Reason string // for the history
	// By is the person who asks; "": nobody, and then nothing is reloaded unless
	// the rendering changed.
	By string
	// Force overwrites a file that was changed by hand; what it was is kept as a
	// version.
	Force bool
}

// A Result says how far a transaction came.
type Result struct {
	At     time.Time
	Reason string
	// Step is the last one that was begun.
	Step Step
	// Version is the one that was to be put in place, "" before it was kept.
	Version string
	// Changed: the file was replaced, and not put back.
	Changed bool
	// RolledBack: it was put back.
	RolledBack bool
	// Words are what the check and the reload had to say.
	Words string
	// Workers are the new processes by instance.
	Workers map[string]slots.Process
	Took    time.Duration
}

// A Transaction is the way one file is replaced and HAProxy is reloaded. Its
// methods may be called by several goroutines; of Run, Restore and Recover only
// one does its work at a time, the others return [ErrBusy].
type Transaction struct {
	o Options

	mu sync.Mutex

	seenMu sync.Mutex
	seen   seenFiles // guarded by seenMu

	// write replaces a file in one step; tests let it fail.
	write func(path string, text []byte, like securedir.Attributes, still func() error) error
	// reached is called after each step that lasts; tests end there.
	reached func(point string)
}

// New checks o. It touches nothing.
func New(o Options) (*Transaction, error) {
	if o.Keep == 0 {
		o.Keep = DefaultKeep
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("reload: %w", err)
	}
	for _, path := range []*string{&o.Template, &o.File, &o.Dir} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return nil, fmt.Errorf("reload: %w", err)
		}
		*path = absolute
	}
	if o.Dir != "" && o.Dir == filepath.Dir(o.File) {
		return nil, fmt.Errorf("reload: %s cannot hold versions: HAProxy may load every .cfg beside its own", o.Dir)
	}
	t := &Transaction{o: o, reached: func(string) {}}
	t.write = t.replaceFile
	return t, nil
}

func (o Options) validate() error {
	switch {
	case o.Reloader == nil:
		return errors.New("no way to reload is given: set reload.command, or the socket of the master")
	case len(o.Instances) == 0:
		return errors.New("no instance is given: nobody would say whether the reload came about")
	case o.Keep < 0 || o.Timeout < 0:
		return errors.New("keep and timeout must not be negative")
	case o.Template != "" && (o.File == "" || o.Dir == ""):
		return errors.New("a template needs a file to render to and a folder for its versions")
	case len(o.Check) > 0 && o.File == "":
		return errors.New("check needs a file")
	case len(o.Check) > 0 && !marked(o.Check):
		return fmt.Errorf("check: no argument has %s or %s, so it would judge another file", fileMark, dirMark)
	}
	return o.validateInstances()
}

func (o Options) validateInstances() error {
	seen := map[string]bool{}
	for _, in := range o.Instances {
		if seen[in.Name()] {
			return fmt.Errorf("instance %s is given twice", in.Name())
		}
		seen[in.Name()] = true
	}
	return nil
}

// Renders reports whether the file is rendered here, from a template.
func (t *Transaction) Renders() bool { return t.o.Template != "" }

// keeps reports whether versions of the file are kept, and so it may be replaced.
func (t *Transaction) keeps() bool { return t.o.Dir != "" && t.o.File != "" }

// begun reports whether there may be a journal: a file that is not rendered here, and was
// never edited, needs no folder.
func (t *Transaction) begun() bool {
	if t.Renders() || !t.keeps() {
		return t.keeps()
	}
	_, err := os.Lstat(t.journalPath())
	return !errors.Is(err, fs.ErrNotExist)
}

// begin keeps other transactions on the file from running until release is called; with
// the folder, those of other processes too.
func (t *Transaction) begin(folder bool) (release func(), err error) {
	if !t.mu.TryLock() {
		return nil, ErrBusy
	}
	if !folder {
		return t.mu.Unlock, nil
	}
	lock, err := t.lockDir()
	if err != nil {
		t.mu.Unlock()
		return nil, err
	}
	return func() {
		_ = securedir.Unlock(lock) // which cannot fail in a way that matters
		t.mu.Unlock()
	}, nil
}

// lockReloader keeps others from reloading in the same way, until release is called.
func (t *Transaction) lockReloader() (release func(), err error) {
	shared, ok := t.o.Reloader.(Locker)
	if !ok {
		return func() {}, nil
	}
	lock, err := shared.Lock()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return func() { lock.Close() }, nil
}
