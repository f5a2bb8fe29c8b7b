package reload

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

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
