package reload

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/slotsync/slotsync/securedir"
	"github.com/slotsync/slotsync/slots"
)

// A Version is one text that the file had, or was to have.
type Version = slots.ConfigVersion

const (
	idTime    = "20060102T150405.000Z"
	textEnd   = ".cfg"
	factsEnd  = ".json"
	foundNote = "as it was found"
)

// isID keeps names from outside within the folder.
func isID(s string) bool {
	at, digest, found := strings.Cut(s, "-")
	_, err := time.Parse(idTime, at)
	return found && err == nil && len(at) == len(idTime) && len(digest) == 8 && strings.Trim(digest, "0123456789abcdef") == ""
}

func (t *Transaction) path(id, end string) string { return filepath.Join(t.o.Dir, id+end) }

// Versions lists what is kept, newest first. One whose facts cannot be read is
// listed with those of its text.
func (t *Transaction) Versions() ([]Version, error) {
	if !t.keeps() {
		return nil, nil
	}
	entries, err := t.entries()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var kept []Version
	for _, e := range slices.Backward(entries) {
		id, isText := strings.CutSuffix(e.Name(), textEnd)
		if !isText || !isID(id) {
			continue
		}
		v, err := t.facts(id)
		if err != nil {
			return nil, err
		}
		kept = append(kept, v)
	}
	return kept, nil
}

func (t *Transaction) entries() (list []fs.DirEntry, err error) {
	err = t.within(t.o.Dir, func(dir *securedir.Dir) error {
		list, err = dir.Entries()
		return err
	})
	return list, err
}

func (t *Transaction) facts(id string) (Version, error) {
	var v Version
	b, err := t.readKept(id + factsEnd)
	if err == nil && json.Unmarshal(b, &v) == nil && v.ID == id {
		return v, nil
	}
	text, err := t.readKept(id + textEnd)
	if err != nil {
		return v, err
	}
	at, err := time.Parse(idTime, id[:len(idTime)])
	if err != nil {
		return v, err
	}
	return Version{ID: id, At: at, Reason: "unknown", SHA256: sum(text), Bytes: len(text)}, nil
}

// Version returns one that is kept, and its text. The error wraps
// [slots.ErrNoVersion] if there is none of that name.
func (t *Transaction) Version(id string) (Version, []byte, error) {
	if !t.keeps() || !isID(id) {
		return Version{}, nil, fmt.Errorf("%q: %w", printable(id), slots.ErrNoVersion)
	}
	text, err := t.readKept(id + textEnd)
	if errors.Is(err, fs.ErrNotExist) {
		return Version{}, nil, fmt.Errorf("%q: %w", id, slots.ErrNoVersion)
	}
	if err != nil {
		return Version{}, nil, err
	}
	v, err := t.facts(id)
	if err != nil {
		return v, nil, err
	}
	if sum(text) != v.SHA256 {
		return v, nil, fmt.Errorf("version %s is not what it was when it was kept", id)
	}
	return v, text, nil
}

// keep stores text as the newest version, unless it is that already.
func (t *Transaction) keep(text []byte, reason, by string) (Version, error) {
	kept, err := t.Versions()
	if err != nil {
		return Version{}, err
	}
	digest := sum(text)
	now := time.Now().UTC().Truncate(time.Millisecond)
	if len(kept) > 0 {
		if kept[0].SHA256 == digest {
			return kept[0], nil
		}
		// a clock that was put back must not change the order
		if !now.After(kept[0].At) {
			now = kept[0].At.Add(time.Millisecond)
		}
	}
	v := Version{
		ID: now.Format(idTime) + "-" + digest[:8], At: now, Reason: reason, By: by, SHA256: digest, Bytes: len(text),
	}
	// the facts first: without a text they are no version
	if err := t.writeFacts(v); err != nil {
		return Version{}, err
	}
	return v, t.write(t.path(v.ID, textEnd), text, securedir.Private(), nil)
}

func (t *Transaction) writeFacts(v Version) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return t.write(t.path(v.ID, factsEnd), append(b, '\n'), securedir.Private(), nil)
}

// keepFound returns the version that the file has, which is stored if it was
// put there by somebody else. Without a file it is the zero Version.
func (t *Transaction) keepFound(found fileSnapshot) (Version, error) {
	if !found.exists {
		return Version{}, nil
	}
	kept, err := t.Versions()
	if err != nil {
		return Version{}, err
	}
	if i := slices.IndexFunc(kept, func(v Version) bool { return v.SHA256 == found.sum }); i >= 0 {
		return kept[i], nil
	}
	return t.keep(found.text, foundNote, "")
}

// prune removes what is beyond the newest keep: never the newest good one, nor
// the one that was put in place last, nor those that are needed.
func (t *Transaction) prune(installed string, needed ...string) error {
	kept, err := t.Versions()
	if err != nil {
		return err
	}
	stay := staying(kept, t.o.Keep, installed, needed)
	var errs []error
	for _, v := range kept {
		if !stay[v.ID] {
			errs = append(errs, t.removeKept(v.ID+textEnd))
		}
	}
	return errors.Join(append(errs, t.dropOrphans(stay))...)
}

// staying returns the versions that are to be kept, of those kept, newest first.
func staying(kept []Version, keep int, installed string, needed []string) map[string]bool {
	stay := map[string]bool{}
	for _, id := range needed {
		stay[id] = true
	}
	goodSeen, installedSeen := false, false
	for i, v := range kept {
		last := v.Good && !goodSeen
		there := v.SHA256 == installed && !installedSeen
		goodSeen, installedSeen = goodSeen || last, installedSeen || there
		if i < keep || last || there {
			stay[v.ID] = true
		}
	}
	return stay
}

func (t *Transaction) dropOrphans(stay map[string]bool) error {
	entries, err := t.entries()
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		id, isFacts := strings.CutSuffix(e.Name(), factsEnd)
		if isFacts && isID(id) && !stay[id] {
			errs = append(errs, t.removeKept(id+factsEnd))
		}
	}
	return errors.Join(errs...)
}

// Diff returns how one version becomes another, as a unified diff; "" stands for
// the file as it is. Equal texts have the diff "".
func (t *Transaction) Diff(from, to string) (string, error) {
	a, err := t.text(from)
	if err != nil {
		return "", err
	}
	b, err := t.text(to)
	if err != nil {
		return "", err
	}
	return unified(t.label(from), t.label(to), string(a), string(b)), nil
}

func (t *Transaction) text(id string) ([]byte, error) {
	if id == "" {
		text, _, err := t.Show()
		return text, err
	}
	_, text, err := t.Version(id)
	return text, err
}

func (t *Transaction) label(id string) string {
	if id == "" {
		return t.o.File
	}
	return id
}

// unified returns the diff of two texts in the format of "diff -u", "" if they are equal.
func unified(from, to, a, b string) string {
	text := string(diff.Diff(from, []byte(a), to, []byte(b)))
	return strings.TrimPrefix(text, "diff "+from+" "+to+"\n")
}
