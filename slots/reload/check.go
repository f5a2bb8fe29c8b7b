package reload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

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

// afterwards is how long is waited for those who still hold the output of a
// program that has ended, as a daemon that it started may.
const afterwards = time.Second

type command struct{ argv []string }

// Command reloads by a program, without a shell. It fails unless the program
// ends with 0. At the end of ctx the program is killed with its process group.
// Its output is bounded to 64 kB.
func Command(argv []string) Reloader { return command{argv} }

// String returns the program and its arguments.
func (c command) String() string { return strings.Join(c.argv, " ") }

// Reload runs the program.
func (c command) Reload(ctx context.Context) (string, error) { return execute(ctx, c.argv) }

// execute returns what a program said on both its outputs.
func execute(ctx context.Context, argv []string) (string, error) {
	if len(argv) == 0 || argv[0] == "" {
		return "", errors.New("no program is given")
	}
	var said head
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	c.Stdout, c.Stderr = &said, &said
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = afterwards
	err := c.Run()
	words := clean(string(said.kept))
	switch {
	case ctx.Err() != nil:
		return words, fmt.Errorf("%s was killed: %w", argv[0], context.Cause(ctx))
	case errors.Is(err, exec.ErrWaitDelay):
		return words, nil
	case err != nil:
		return words, fmt.Errorf("%s: %w", argv[0], err)
	}
	return words, nil
}

type head struct{ kept []byte }

func (h *head) Write(b []byte) (int, error) {
	h.kept = append(h.kept, b[:min(len(b), maxWords-len(h.kept))]...)
	return len(b), nil
}

// Check renders d, writes it to a temporary file beside the file, and lets the
// check judge that. Without a template the file itself is judged. words are what
// the check said, also if it was content; without a check there are none. The
// error is an [*Error] with the step render, check, or replace where the file was changed
// by hand and a reload would be refused for that.
func (t *Transaction) Check(ctx context.Context, d Data) (words string, err error) {
	if !t.Renders() {
		words, err = t.checkFile(ctx)
		return words, t.unchanged(StepCheck, err, words)
	}
	text, err := t.render(d)
	if err != nil {
		return "", t.unchanged(StepRender, err, "")
	}
	words, err = t.check(ctx, text)
	if err != nil {
		return words, t.unchanged(StepCheck, err, words)
	}
	return words, t.refusedByHand(text)
}

// refusedByHand returns why text would not replace the file, nil if it would.
func (t *Transaction) refusedByHand(text []byte) error {
	a := &attempt{t: t, text: text}
	if err := a.compare(); errors.Is(err, ErrChangedByHand) {
		return err
	}
	return nil // what else is in the way is what Rehearse is for
}

func (t *Transaction) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, t.o.Timeout, fmt.Errorf("not done within %s", t.o.Timeout))
}
