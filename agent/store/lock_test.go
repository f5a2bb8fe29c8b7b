package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/securedir"
)

// One agent has a state directory; another one waits for it, and is told who it is.
func TestTakeLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	take := func(wait time.Duration) (*Lock, error) { return TakeLock(t.Context(), securedir.Policy{}, dir, wait) }
	first, err := take(0)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("another slotsync keeps its state in %s (pid %d holds", dir, os.Getpid())
	if _, err := take(0); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
	got := make(chan error, 1)
	go func() {
		second, err := take(time.Minute)
		if err == nil {
			second.Release()
		}
		got <- err
	}()
	first.Release()
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// Where nothing is kept, or nothing can be, nothing is held.
func TestTakeLockOfNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", filepath.Join(file, "below")} {
		for range 2 {
			if _, err := TakeLock(context.Background(), securedir.Policy{}, dir, 0); err != nil {
				t.Errorf("%q: %v", dir, err)
			}
		}
	}
}
