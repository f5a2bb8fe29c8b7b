package reload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/slotsync/slotsync/securedir"
)

// Marks of [Options.Check].
const (
	// fileMark stands for the file to be checked.
	fileMark = "{{.File}}"
	// dirMark stands for a folder with all configurations of the file's folder, the one
	// to be checked among them.
	dirMark = "{{.Dir}}"
)

func marked(check []string) bool {
	for _, arg := range check[1:] {
		if strings.Contains(arg, fileMark) || strings.Contains(arg, dirMark) {
			return true
		}
	}
	return false
}

// unchanged returns err as the failure of a step before which nothing lasts.
func (t *Transaction) unchanged(s Step, err error, words string) error {
	if err == nil {
		return nil
	}
	advice := t.advice(s)
	if hinted, ok := errors.AsType[*hintedError](err); ok {
		advice += "; " + hinted.hint
	}
	if errors.Is(err, errMounted) {
		advice = "" // which the error has
	}
	return &Error{Step: s, Err: err, Words: words, done: "nothing was changed", advice: advice}
}

func (t *Transaction) checkFile(ctx context.Context) (string, error) {
	if len(t.o.Check) == 0 {
		return "", nil
	}
	words, err := t.runCheck(ctx, t.o.File, filepath.Dir(t.o.File))
	if err == nil {
		return words, nil
	}
	text, _ := securedir.ReadFile(t.o.File, maxFile, 0)
	return words, hint(err, words, text)
}

func (t *Transaction) check(ctx context.Context, text []byte) (string, error) {
	if len(t.o.Check) == 0 {
		return "", nil
	}
	found, err := t.snapshot(t.o.File)
	if err != nil {
		return "", err
	}
	temp, err := writeTemp(found.path, text)
	if err != nil {
		return "", err
	}
	defer os.Remove(temp)
	dir := ""
	if strings.Contains(strings.Join(t.o.Check, "\n"), dirMark) {
		if dir, err = folderWith(t.o.File, temp); err != nil {
			return "", err
		}
		defer os.RemoveAll(dir)
	}
	words, err := t.runCheck(ctx, temp, dir)
	// people know the file by its name
	words = strings.ReplaceAll(words, temp, t.o.File)
	if dir != "" {
		words = strings.ReplaceAll(words, dir, filepath.Dir(t.o.File))
	}
	return words, hint(err, words, text)
}

// writeTemp writes beside path, where what the text refers to relatively is
// found.
func writeTemp(path string, text []byte) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".slotsync.check-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// folderWith makes a folder that leads to every .cfg beside file, and under the file's
// own name to temp.
func folderWith(file, temp string) (dir string, err error) {
	beside, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*.cfg"))
	if err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp("", "slotsync.check-*"); err != nil {
		return "", err
	}
	for _, other := range beside {
		if other != file && !strings.HasPrefix(filepath.Base(other), ".") {
			err = errors.Join(err, os.Symlink(other, filepath.Join(dir, filepath.Base(other))))
		}
	}
	if err = errors.Join(err, os.Symlink(temp, filepath.Join(dir, filepath.Base(file)))); err != nil {
		os.RemoveAll(dir)
		return "", err
	}
	return dir, nil
}

func (t *Transaction) runCheck(ctx context.Context, file, dir string) (string, error) {
	marks := strings.NewReplacer(fileMark, file, dirMark, dir)
	argv := make([]string, len(t.o.Check))
	for i, arg := range t.o.Check {
		argv[i] = marks.Replace(arg)
	}
	ctx, cancel := t.limit(ctx)
	defer cancel()
	return execute(ctx, argv)
}

// Rehearse does what Run does up to the replacement, and leaves everything as it was: it
// renders d, or takes the file as it is where none is rendered, has the check judge that,
// and sees whether the file could be replaced where it is. words are what the check said.
// The error is an [*Error] with the step that would fail.
func (t *Transaction) Rehearse(ctx context.Context, d Data) (words string, err error) {
	if words, err = t.Check(ctx, d); err != nil || !t.Renders() {
		return words, err
	}
	found, err := t.snapshot(t.o.File)
	if err == nil {
		err = t.replaceable(found)
	}
	if err != nil {
		err = fmt.Errorf("%s could not be replaced: %w", t.o.File, err)
	}
	return words, t.unchanged(StepReplace, err, "")
}
