package remote

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPasswordFiles(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{"a word\n": "a word", "päss": "päss", "x\r\n": "x", " x ": " x ", "": "", "\n": "", "a\nb": "", strings.Repeat("x", maxPassword+1): ""} {
		file := filepath.Join(dir, "password")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readPassword(file)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%.20q: %q, %v", text, got, err)
		}
	}
	if _, err := readPassword(dir); err == nil {
		t.Error("a folder holds no password")
	}
}
