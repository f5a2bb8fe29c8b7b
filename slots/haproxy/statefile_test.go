package haproxy_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

func saver(t *testing.T, socket, pattern string) *haproxy.Client {
	t.Helper()
	c, err := haproxy.New(haproxy.Options{Socket: socket, StateFile: pattern})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wanted makes the first slots what an agent would want of them.
func wanted(list []slots.Server) []slots.Server {
	list = slices.Clone(list)
	for i, w := range []struct {
		addr  string
		class slots.Class
	}{{"10.0.0.1:80", slots.Ready}, {"[fd00::2]:8080", slots.Ready}, {"10.0.0.3:80", slots.Drain}, {"10.0.0.4:1", slots.Maint}} {
		list[i].Addr, list[i].Class, list[i].Weight = netip.MustParseAddrPort(w.addr), w.class, 7+i
		list[i].Up = w.class != slots.Maint
	}
	return list
}

// A HAProxy that starts with the file is what the file says, whatever its slots
// are like in the configuration.
func TestStateFileIsLoaded(t *testing.T) {
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			backends := []haproxytest.Backend{
				{Name: "web", Slots: 5},
				{Name: "chk", Slots: 5, Check: "check inter 1h"},
				{Name: "slow", Slots: 5, Check: "check inter 1h rise 5 fall 1"},
				{Name: "on", Slots: 5, Enabled: true},
				{Name: "a:b.c-d_E", Prefix: "srv", Slots: 5},
			}
			p := haproxytest.Start(t, haproxytest.Config{Version: version, Backends: backends, StateFile: true})
			c := saver(t, p.Socket, filepath.Join(p.StateDir(), "{backend}"))
			want, err := c.View(t.Context(), nil, false)
			if err != nil {
				t.Fatal(err)
			}
			for b, list := range want.Servers {
				want.Servers[b] = wanted(list)
				if err := c.Save(b, want.Servers[b]); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Sync(); err != nil {
				t.Fatal(err)
			}
			before := len(p.Log())
			p.Restart()
			log := p.Log()[before:]
			got, err := c.View(t.Context(), nil, false)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want.Servers, got.Servers, byAddr, cmpopts.IgnoreFields(slots.Server{}, "Since")); d != "" {
				t.Errorf("(-saved +started):\n%s\n%s", d, log)
			}
			if strings.Contains(log, "state file") || strings.Contains(log, "mismatch") {
				t.Errorf("HAProxy complains:\n%s", log)
			}
		})
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestStateFileForAll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "all")
	c := saver(t, "/run/x", path)
	one := []slots.Server{{Name: "s1", Addr: netip.MustParseAddrPort("10.0.0.1:80")}}
	for _, b := range []string{"web", "api"} {
		if err := c.Save(b, one); err != nil {
			t.Fatal(err)
		}
	}
	text := read(t, path)
	if !strings.HasPrefix(text, "1\n# be_id be_name ") || strings.Index(text, " api ") > strings.Index(text, " web ") || !strings.HasSuffix(text, " -\n") {
		t.Errorf("got %s", text)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("left behind: %v, %v", list, err)
	}
}

// Lines of backends that others write stay, as long as HAProxy would take them.
func TestStateFileKeepsWhatOthersWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "all")
	line := func(backend, server string, more int) string {
		return "3 " + backend + " 1 " + server + " 10.0.9.1 0 1 1 1 5 1 0 0 8 0 0 0 - 80 -" + strings.Repeat(" 0", more) + "\n"
	}
	put := func(lines ...string) {
		if err := os.WriteFile(path, []byte("1\n# theirs\n"+strings.Join(lines, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := saver(t, "/run/x", path)
	one := []slots.Server{{Name: "s1", Addr: netip.MustParseAddrPort("10.0.0.1:80")}}
	save := func(backend string, want ...string) {
		t.Helper()
		if err := c.Save(backend, one); err != nil {
			t.Fatal(err)
		}
		_, got, _ := strings.Cut(strings.TrimPrefix(read(t, path), "1\n"), "\n")
		var servers []string
		for l := range strings.Lines(got) {
			f := strings.Fields(l)
			servers = append(servers, f[1]+"/"+f[3]+"/"+f[4])
		}
		if d := cmp.Diff(want, servers); d != "" {
			t.Errorf("after %s: %s", backend, d)
		}
	}
	put(line("theirs", "a", 0), line("web", "old", 5), line("theirs", "b", 5), line("api", "old", 0), "short line\n", line("cut", "x", 6), strings.TrimSuffix(line("cut", "y", 0), "\n"))
	save("web", "theirs/a/10.0.9.1", "theirs/b/10.0.9.1", "api/old/10.0.9.1", "web/s1/10.0.0.1")
	save("api", "theirs/a/10.0.9.1", "theirs/b/10.0.9.1", "api/s1/10.0.0.1", "web/s1/10.0.0.1")
	// They write the whole of it, as `show servers state` has it, with other addresses.
	put(line("theirs", "c", 5), line("web", "s1", 5))
	save("api", "theirs/c/10.0.9.1", "api/s1/10.0.0.1", "web/s1/10.0.0.1")
	if err := os.WriteFile(path, []byte("2\n"+line("theirs", "a", 0)), 0o600); err != nil {
		t.Fatal(err)
	}
	save("web", "api/s1/10.0.0.1", "web/s1/10.0.0.1")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	save("web", "api/s1/10.0.0.1", "web/s1/10.0.0.1")
}

// HAProxy takes a file in which lines of its own stand beside ours, and what somebody put
// into maintenance in another backend stays there.
func TestForeignMaintenanceSurvivesARestart(t *testing.T) {
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "all")
			p := haproxytest.Start(t, haproxytest.Config{Version: version, Global: "  server-state-file " + path + "\n",
				Backends: []haproxytest.Backend{{Name: "web", Slots: 5, Options: []string{"load-server-state-from-file global"}}},
				Extra:    "backend theirs\n  load-server-state-from-file global\n  server one 127.0.0.1:81\n  server two 127.0.0.1:82\n"})
			haproxytest.Ask(t, p.Socket, "set server theirs/two state maint")
			if err := os.WriteFile(path, []byte(strings.TrimSpace(haproxytest.Ask(t, p.Socket, "show servers state"))+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			c := saver(t, p.Socket, path)
			view, err := c.View(t.Context(), nil, false)
			if err != nil {
				t.Fatal(err)
			}
			list := wanted(view.Servers["web"])
			if err := c.Save("web", list); err != nil {
				t.Fatal(err)
			}
			p.Restart()
			if view, err = c.View(t.Context(), nil, false); err != nil {
				t.Fatal(err)
			}
			if s := view.Servers["theirs"]; s[0].Class != slots.Ready || s[1].Class != slots.Maint {
				t.Errorf("their maintenance is lost: %+v", s)
			}
			if s := view.Servers["web"]; s[0].Addr != list[0].Addr || s[0].Class != slots.Ready {
				t.Errorf("ours is not loaded: %+v", s)
			}
		})
	}
}

func TestStateFileIsWrittenOnlyIfNeeded(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "web")
	c := saver(t, "/run/x", filepath.Join(dir, "{backend}"))
	list := []slots.Server{{Name: "s1", Addr: netip.MustParseAddrPort("10.0.0.1:80")}}
	// save reports whether the file is another than before
	save := func() bool {
		before, _ := os.Stat(path)
		if err := c.Save("web", list); err != nil {
			t.Fatal(err)
		}
		after, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return before == nil || !os.SameFile(before, after)
	}
	good := ""
	for _, step := range []struct {
		name string
		do   func() error
		want bool
	}{
		{"first", func() error { return nil }, true},
		{"the same", func() error { return nil }, false},
		{"touched", func() error { return os.Chtimes(path, time.Time{}, time.Unix(1, 0)) }, true},
		{"overwritten", func() error { return os.WriteFile(path, []byte("1\n"), 0o600) }, true},
		{"removed", func() error { return os.Remove(path) }, true},
		{"after a kill", func() error { return os.WriteFile(filepath.Join(dir, ".web.slotsync"), []byte("half"), 0o600) }, false},
		{"replaced", func() error { return os.Rename(filepath.Join(dir, ".web.slotsync"), path) }, true},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := save(); got != step.want {
			t.Errorf("%s: written %v", step.name, got)
		}
		if text := read(t, path); good != "" && text != good {
			t.Errorf("%s: got %q", step.name, text)
		} else {
			good = text
		}
	}
	list[0].Class = slots.Ready
	if !save() || read(t, path) == good {
		t.Error("a change is not written")
	}
}

func TestStateFileFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"web", ".web.slotsync"} {
		if err := os.Symlink(victim, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	c := saver(t, "/run/x", filepath.Join(dir, "{backend}"))
	if err := c.Save("web", nil); err != nil {
		t.Fatal(err)
	}
	if got := read(t, victim); got != "precious" {
		t.Errorf("a link was followed: %q", got)
	}
}

func TestStateFileErrors(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "none"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := saver(t, "/run/x", filepath.Join(dir, "none", "{backend}")) // whose folder cannot be made
	if err := c.Save("web", nil); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("got %v", err)
	}
	if err := saver(t, "/run/x", "").Save("web", nil); err != nil {
		t.Errorf("without a file: %v", err)
	}
	c = saver(t, "/run/x", filepath.Join(dir, "{backend}"))
	if err := c.Save("web", nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "web")); err != nil {
		t.Fatal(err)
	}
	if err := c.Sync(); err == nil {
		t.Error("a file that is gone was synced")
	}
}
