package reload

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/slotsync/slotsync/securedir"
	"github.com/slotsync/slotsync/slots"
)

const (
	journalVersion = 1
	journalFile    = "journal.json"
)

var errCorrupt = errors.New("the journal cannot be read")

// A journal is what the next process must know.
type journal struct {
	Version int    `json:"version"`
	File    string `json:"file"`
	// Installed is the SHA-256 of what was put in place last; "": nothing was.
	Installed string   `json:"installed,omitempty"`
	Pending   *pending `json:"pending,omitempty"`
}

// A pending transaction has begun to change the file.
type pending struct {
	Step   Step      `json:"step"` // replace, reload or back
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
	By     string    `json:"by,omitempty"`
	// From is what is to be put back, without an ID if there was no file.
	From Version `json:"from"`
	To   Version `json:"to"`
	// Before are the processes that were to be replaced, by instance.
	Before map[string]slots.Process `json:"before"`
	// Template is the SHA-256 of the template that was to be put in place, where
	// one was; the one from before is beside the journal.
	Template string `json:"template,omitempty"`
}

func (t *Transaction) journalPath() string { return filepath.Join(t.o.Dir, journalFile) }

// loadJournal returns an empty one if there is none.
func (t *Transaction) loadJournal() (journal, error) {
	j := journal{Version: journalVersion, File: t.o.File}
	b, err := t.readKept(journalFile)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return j, err
	}
	var found journal
	if err := json.Unmarshal(b, &found); err != nil {
		return j, fmt.Errorf("%w: %s: %w", errCorrupt, t.journalPath(), err)
	}
	switch {
	case found.Version != journalVersion:
		return j, fmt.Errorf("%s has version %d, this is version %d", t.journalPath(), found.Version, journalVersion)
	case found.File != t.o.File:
		return j, fmt.Errorf("%s belongs to %q; each file needs a folder of its own", t.journalPath(), found.File)
	}
	return found, nil
}

func (t *Transaction) saveJournal(j journal) error {
	b, err := json.Marshal(j)
	if err != nil {
		return err
	}
	return t.write(t.journalPath(), append(b, '\n'), securedir.Private(), nil)
}

// setJournalAside makes way for a new one if it is broken. What it said is lost
// then: which file was put in place, and what was pending. The file on disk is a
// whole one all the same. One of a newer version, or of another file, stays.
func (t *Transaction) setJournalAside(broken error) error {
	if !errors.Is(broken, errCorrupt) {
		return broken
	}
	aside := t.journalPath() + ".corrupt"
	err := t.within(t.o.Dir, func(dir *securedir.Dir) error { return dir.Rename(journalFile, filepath.Base(aside)) })
	if err != nil {
		return err
	}
	return fmt.Errorf("%w; it is now %s", broken, aside)
}

// ChangedByHand reports whether the file is not what was put in place last: it
// has another text, or it is gone. A file that nothing was put in place of yet
// does not count as changed.
func (t *Transaction) ChangedByHand() (bool, error) {
	if !t.Renders() {
		return false, nil
	}
	j, err := t.loadJournal()
	if err != nil {
		return false, err
	}
	found, err := t.snapshot(t.o.File)
	if err != nil {
		return false, err
	}
	return j.changed(found), nil
}

func (j journal) changed(found fileSnapshot) bool {
	if j.Installed == "" || found.sum == j.Installed {
		return false
	}
	p := j.Pending
	return p == nil || found.sum != p.From.SHA256 && found.sum != p.To.SHA256
}

// Files say what is on disk of one configuration now.
type Files struct {
	// Tag changes with the file and with the template that it is rendered from; "" if
	// the file cannot be read.
	Tag string
	// ByHand: the file is not what was put in place last, so that a rendering is refused
	// unless somebody insists.
	ByHand bool
}

// seenFiles is what was read last, and by what it is known that it would be read again.
type seenFiles struct {
	stamp string
	files Files
}

// Files looks at the file, the template and the journal. It reads them only where one of
// them has changed.
func (t *Transaction) Files() Files {
	var stamps []string
	for _, path := range []string{t.o.File, t.o.Template, t.journalPath()} {
		stamps = append(stamps, stamp(path))
	}
	now := strings.Join(stamps, " ")
	t.seenMu.Lock()
	defer t.seenMu.Unlock()
	if now != t.seen.stamp {
		t.seen = seenFiles{now, t.readFiles()}
	}
	return t.seen.files
}

func (t *Transaction) readFiles() Files {
	_, tag, err := t.Show()
	if err != nil {
		return Files{}
	}
	f := Files{Tag: tag}
	if t.Renders() {
		template, _ := securedir.ReadFile(t.o.Template, maxFile, 0) // none is another one than any
		f.Tag = sum([]byte(tag + sum(template)))
		f.ByHand, _ = t.ChangedByHand() // a journal that cannot be read is the next reload's fault
	}
	return f
}

// stamp changes with what is at path, as far as can be known without reading it.
func stamp(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "-"
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprint(s.Dev, s.Ino, s.Size, s.Mtim, s.Ctim)
	}
	return fmt.Sprint(info.Size(), info.ModTime())
}
