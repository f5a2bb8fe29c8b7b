package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestPageIsCurrent: what docs say of the series is what is registered now.
func TestPageIsCurrent(t *testing.T) {
	folder := t.TempDir()
	if err := run(folder); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(folder, "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile("../../docs/metrics.md"); err != nil || !bytes.Equal(want, got) {
		t.Errorf("docs/metrics.md is not what the metrics make of it: run go generate ./metrics (%v)", err)
	}
}
