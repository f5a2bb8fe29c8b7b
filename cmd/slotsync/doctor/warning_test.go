package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// TestJudgeWarnings: doctor says that a HAProxy which takes no warnings cannot start with
// filled slots, before anybody is bitten.
func TestJudgeWarnings(t *testing.T) {
	const head = "global\n  stats socket {socket} level admin\n  chroot /\n  user root\n"
	const tail = "defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\nbackend web\n  server a 127.0.0.1:1\n"
	disabled := []slots.Server{{Name: "web1", Disabled: true}}
	kept := config.Instance{Name: "edge", StateFile: "/s/{backend}"}
	for _, version := range haproxytest.Versions {
		strict := haproxytest.Start(t, haproxytest.Config{Version: version, Text: head + "  zero-warning\n" + tail})
		lax := haproxytest.Start(t, haproxytest.Config{Version: version, Text: head + tail})
		for _, c := range []struct {
			in   config.Instance
			own  []slots.Server
			pid  int
			want []string
		}{
			{kept, disabled, strict.Pid(), []string{"fail zero-warning at " + strict.File() + ":5"}},
			{kept, []slots.Server{{Name: "web1"}}, strict.Pid(), nil},
			{config.Instance{Name: "edge"}, disabled, strict.Pid(), nil},
			{kept, disabled, lax.Pid(), nil},
			{kept, disabled, 0, nil},
		} {
			f := findings{subject: "x"}
			f.judgeWarnings(c.in, c.own, runningAs(c.pid))
			expect(t, f.list, c.want)
		}
	}
}

func TestConfigFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.cfg", "b.cfg", "c.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := configFiles([]string{"-W", "-f", "x.cfg", "-f", dir, "-p", "/run/p", "--", "/y.cfg", "z.cfg"}, "/etc")
	want := []string{"/etc/x.cfg", dir + "/a.cfg", dir + "/b.cfg", "/y.cfg", "/etc/z.cfg"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestReadConfig: what another user's process names as its configuration is read with a bound.
func TestReadConfig(t *testing.T) {
	dir := t.TempDir()
	pipe, large, file := filepath.Join(dir, "pipe"), filepath.Join(dir, "large"), filepath.Join(dir, "file")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.WriteFile(file, []byte("global\n"), 0o600), os.WriteFile(large, nil, 0o600), os.Truncate(large, maxConfig+1)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{file: "global\n", pipe: "", large: "", "/dev/zero": "", dir: "", filepath.Join(dir, "none"): ""} {
		if text, err := readConfig(path); string(text) != want || (err == nil) != (want != "") {
			t.Errorf("%s: %d bytes, %v", path, len(text), err)
		}
	}
}
