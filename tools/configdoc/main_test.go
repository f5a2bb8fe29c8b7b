package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestPagesAreCurrent: what docs say of the keys is what the types say now.
func TestPagesAreCurrent(t *testing.T) {
	folder := t.TempDir()
	if err := run(folder); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"configuration.md", "slotsync.schema.json"} {
		want, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join("../../docs", name)); err != nil || !bytes.Equal(want, got) {
			t.Errorf("docs/%s is not what the types make of it: run go generate ./cmd/slotsync/config (%v)", name, err)
		}
	}
}
