package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	lintGlobal   = "global\n  stats socket /run/haproxy/admin.sock level admin\n"
	lintDefaults = "defaults\n  option redispatch 1\n  load-server-state-from-file local\n"
	lintSlots    = "  server-template web 1-10 slot.invalid:1 init-addr last,127.0.0.1 disabled weight 100 check\n"
)

func TestLintHAProxy(t *testing.T) {
	good := lintGlobal + lintDefaults + "backend web\n"
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"recommended", good + lintSlots, nil},
		{"by default-server", good + "  default-server check disabled weight 100 init-addr last,127.0.0.1\n  server-template web 10 slot.invalid:1\n", nil},
		{"later defaults win", good + "  default-server weight 100 check disabled init-addr none\n  default-server init-addr last,127.0.0.1\n  server-template web 10 slot.invalid:1\n", nil},
		{"nothing", "", []string{"fail h.cfg:1 no backend has a `server-template`"}},
		{"no template", lintGlobal + lintDefaults + "backend web\n  server a 127.0.0.1:1\n", []string{"fail h.cfg:1 no backend has a `server-template`"}},
		{"no admin", "global\n  stats socket /s level operator\n" + lintDefaults + "backend web\n" + lintSlots, []string{"fail h.cfg:1 no `stats socket` has level admin"}},
		{"open to the network", "global\n  stats socket ipv4@*:9999 level admin\n" + lintDefaults + "backend web\n" + lintSlots, []string{"warn h.cfg:2 the Runtime API at ipv4@*:9999 is open"}},
		{"zero-warning", "global\n  stats socket /s level admin\n  zero-warning\n" + lintDefaults + "backend web\n" + lintSlots, []string{"fail h.cfg:3 `zero-warning`"}},
		{"zero-warning, not disabled", "global\n  stats socket /s level admin\n  zero-warning\n" + lintDefaults + "backend web\n" + strings.Replace(lintSlots, " disabled", "", 1),
			[]string{"warn h.cfg:8 the slots are not `disabled`"}},
		{"resolvers", good + strings.Replace(lintSlots, "check", "check resolvers dns", 1), []string{"fail h.cfg:7 HAProxy's own resolvers write these slots too"}},
		{"resolvers by default", lintGlobal + lintDefaults + "  default-server resolvers dns\nbackend web\n" + lintSlots, []string{"fail h.cfg:8 HAProxy's own resolvers"}},
		{"SRV", good + strings.Replace(lintSlots, "slot.invalid:1", "_web._tcp.example.org", 1), []string{"fail h.cfg:7 HAProxy's own resolvers", "warn h.cfg:7 the slots have no port"}},
		{"numeric", good + strings.Replace(lintSlots, "slot.invalid", "127.0.0.1", 1), []string{"warn h.cfg:7 a numeric address is not restored"}},
		{"no address", good + strings.Replace(lintSlots, "127.0.0.1", "none", 1), []string{"fail h.cfg:7 `init-addr last,none` leaves slots without an address"}},
		{"the system's resolver", good + strings.Replace(lintSlots, "init-addr last,127.0.0.1 ", "", 1), []string{"fail h.cfg:7 HAProxy does not start when slot.invalid has no address"}},
		{"no weight, no check", good + strings.Replace(lintSlots, "weight 100 check", "", 1), []string{"warn h.cfg:7 a template weight below 100", "warn h.cfg:7 nothing checks"}},
		{"named like a slot", good + "  server web99 127.0.0.1:80\n" + lintSlots, []string{"fail h.cfg:7 server web99 is named like a slot"}},
		{"templates alike", good + lintSlots + strings.Replace(lintSlots, "web 1-10", "web1 1-10", 1), []string{"fail h.cfg:8 backend web: "}},
		{"disabled backend", good + "  disabled\n" + lintSlots, []string{"fail h.cfg:7 backend web is `disabled`"}},
		{"hash", good + "  balance uri\n" + lintSlots, []string{"warn h.cfg:7 backend web: `balance uri` takes no weights"}},
		{"consistent hash", good + "  balance hdr(host)\n  hash-type consistent\n" + lintSlots, nil},
		{"static-rr", good + "  balance static-rr\n  hash-type consistent\n" + lintSlots, []string{"warn h.cfg:7 backend web: `balance static-rr`"}},
		{"no state, no redispatch", lintGlobal + "defaults\ndefaults named\n  option redispatch\n  load-server-state-from-file local\ndefaults\nbackend web\n" + lintSlots + "backend api from named\n" + lintSlots,
			[]string{"warn h.cfg:8 backend web loads no state file", "warn h.cfg:8 backend web has no `option redispatch`"}},
		{"program", good + lintSlots + "program slotsync\n  command slotsync run\n", []string{"warn h.cfg:8 HAProxy 3.3 and later have no `program`"}},
		{"numbers that are none", good + "  server-template web x-y slot.invalid:1\n  server-template\n", []string{"fail h.cfg:1 no backend"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list := LintHAProxy(ConfigFile{"/etc/haproxy/h.cfg", []byte(tt.text)})
			for i := range list { // expect looks at verdict and text
				list[i].Text = list[i].Subject + " " + list[i].Text
			}
			expect(t, list, tt.want)
		})
	}
}

// HAProxy reads several files as one configuration.
func TestLintOfSeveralFiles(t *testing.T) {
	for _, tt := range []struct {
		name  string
		texts []string
		want  []string
	}{
		{"one for each section", []string{lintGlobal, lintDefaults, "backend web\n" + lintSlots}, nil},
		{"defaults by name", []string{lintGlobal, "defaults d\n  option redispatch 1\ndefaults\n", "backend web from d\n  load-server-state-from-file local\n" + lintSlots}, nil},
		{"the socket in the second", []string{"global\n  maxconn 9\n", lintGlobal, lintDefaults + "backend web\n" + lintSlots}, nil},
		{"no socket in any", []string{"# none\nglobal\n", "global\n" + lintDefaults + "backend web\n" + lintSlots}, []string{"fail 0.cfg:2 no `stats socket`"}},
		{"no slots in any", []string{lintGlobal, lintDefaults}, []string{"fail 0.cfg:1 no backend has"}},
		{"a file begins in no section", []string{lintGlobal + lintDefaults + "backend web\n" + lintSlots, "  disabled\n"}, nil},
		{"lines of the second", []string{lintGlobal + lintDefaults, "\nbackend web\n  disabled\n" + lintSlots}, []string{"fail 1.cfg:3 backend web is `disabled`"}},
		{"lines of the defaults", []string{lintGlobal, lintDefaults + "  balance uri\n", "backend web\n" + lintSlots}, []string{"warn 1.cfg:4 backend web: `balance uri`"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var files []ConfigFile
			for i, text := range tt.texts {
				files = append(files, ConfigFile{fmt.Sprintf("/etc/haproxy/%d.cfg", i), []byte(text)})
			}
			list := LintHAProxy(files...)
			for i := range list {
				list[i].Text = list[i].Subject + " " + list[i].Text
			}
			expect(t, list, tt.want)
		})
	}
}

// What the examples show has none of the traps.
func TestLintOfTheExamples(t *testing.T) {
	files, err := filepath.Glob("../../../examples/*/haproxy.cfg")
	if err != nil || len(files) < 9 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range LintHAProxy(ConfigFile{path, text}) {
			t.Errorf("%s: %s: %s", path, f.Verdict, f.Text)
		}
	}
}

func FuzzLintHAProxy(f *testing.F) {
	f.Add(lintGlobal + lintDefaults + "backend web\n" + lintSlots)
	f.Add("defaults from\nbackend x from\nserver-template a 9999999999999999999999-1 :\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, x := range LintHAProxy(ConfigFile{"h.cfg", []byte(text)}) {
			if strings.ContainsAny(x.Text, "\n\x1b") {
				t.Errorf("%q", x.Text)
			}
		}
	})
}
