package slotsync_test

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBuildIsReproducible builds twice, in two folders, with the command that is released: the bytes are the same, the
// file is static and no path of this machine is in it.
func TestBuildIsReproducible(t *testing.T) {
	folders := []string{filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "a", "longer", "path")}
	copySources(t, ".", folders[0])
	copySources(t, folders[0], folders[1]) // not of sources that somebody edits meanwhile
	var binaries [][]byte
	for _, folder := range folders {
		build := exec.CommandContext(t.Context(), "make", "-s", "-C", folder, "build", "VERSION=v0.0.0-test")
		if output, err := build.CombinedOutput(); err != nil {
			t.Fatalf("make build: %v\n%s", err, output)
		}
		binary, err := os.ReadFile(filepath.Join(folder, "bin", "slotsync"))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(binary, []byte(filepath.Dir(folder))) {
			t.Errorf("the binary holds the path it was built in, %s", folder)
		}
		binaries = append(binaries, binary)
	}
	if a, b := sha256.Sum256(binaries[0]), sha256.Sum256(binaries[1]); a != b {
		t.Errorf("two folders, two binaries: %x and %x", a, b)
	}
	checkStatic(t, binaries[0])
}

func checkStatic(t *testing.T, binary []byte) {
	t.Helper()
	file, err := elf.NewFile(bytes.NewReader(binary))
	if err != nil {
		t.Fatal(err)
	}
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP || segment.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary is not static: it has a segment %v", segment.Type)
		}
	}
	if !bytes.Contains(binary, []byte("v0.0.0-test")) {
		t.Error("the binary does not carry its version")
	}
}

// copySources copies what a build needs, so that it happens in another folder.
func copySources(t *testing.T, source, target string) {
	t.Helper()
	sources := os.DirFS(source)
	err := fs.WalkDir(sources, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if name != "." && (strings.HasPrefix(name, ".") || name == "bin") {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(target, name), 0o755)
		case !entry.Type().IsRegular():
			return nil
		}
		content, err := fs.ReadFile(sources, name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(target, name), content, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}
