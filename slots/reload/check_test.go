package reload

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/securedir/securedirtest"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// TestWorst: of what HAProxy says, an error shows what is wrong, not the version or that
// something is wrong.
func TestWorst(t *testing.T) {
	const version = "[NOTICE]   (1) : haproxy version is 3.2.26-1\n[NOTICE]   (1) : path to executable is /usr/sbin/haproxy\n"
	for _, c := range []struct{ name, words, want string }{
		{"alert", version + "[WARNING]  (1) : config : w\n[ALERT]    (1) : config : parsing [f:3] : unknown keyword 'x'\n[ALERT]    (1) : config : Error(s) found in configuration file : f\n[ALERT]    (1) : config : Fatal errors found in configuration.", "parsing [f:3]"},
		{"summary before it", "[ALERT]    (1) : config : Error(s) found in configuration file : f\n[ALERT]    (1) : config : parsing [f:3] : x", "parsing [f:3]"},
		{"zero-warning", version + "[WARNING]  (1) : config : missing timeouts\n[ALERT]    (1) : config : Some warnings were found and 'zero-warning' is set. Aborting.", "missing timeouts"},
		{"only a summary", version + "[ALERT]    (1) : config : Fatal errors found in configuration.", "Fatal errors"},
		{"plain", version + "cannot execute\n", "cannot execute"},
		{"only notices", version, "haproxy version"},
		{"a master's", "Success=0\n--\n" + version + "[ALERT]    (1) : bind: cannot bind socket", "cannot bind"},
		{"nothing", "\n\n", ""},
	} {
		if got := worst(c.words); !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestRealReasons: HAProxy's own reason is in the one line of the error, whatever the
// version, and what is behind it besides.
func TestRealReasons(t *testing.T) {
	const tail = "\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n"
	for _, version := range haproxytest.Versions {
		for _, c := range []struct {
			name, text string
			says       []string
		}{
			{"keyword", "global\n  bogus" + tail, []string{"unknown keyword 'bogus'"}},
			{"certificate", tail + "frontend in\n  bind 127.0.0.1:1 ssl crt /nowhere.pem\n", []string{"/nowhere.pem"}},
			{"variable", tail + "frontend in\n  bind \"127.0.0.1:${SLOTSYNC_TEST_PORT}\"\n", []string{"parsing [", "lacks SLOTSYNC_TEST_PORT: set it there"}},
			{"zero-warning", "global\n  zero-warning\ndefaults\n  mode http\nfrontend in\n  bind 127.0.0.1:1\n", []string{"missing timeouts"}},
		} {
			t.Run(version+"/"+c.name, func(t *testing.T) {
				s := newSite(t)
				s.put(t, s.template(), c.text)
				o := s.options()
				o.Check = []string{haproxytest.Binary(t, version), "-c", "-f", fileMark}
				tr, err := New(o)
				if err != nil {
					t.Fatal(err)
				}
				_, err = tr.Check(t.Context(), web(1))
				if err == nil {
					t.Fatal("it is fine")
				}
				line := strings.Join(strings.Fields(err.Error()), " ")
				for _, want := range c.says {
					if !strings.Contains(line, want) {
						t.Errorf("got %s; want %q", line, want)
					}
				}
				if strings.Contains(line, "haproxy version") {
					t.Errorf("got %s", line)
				}
			})
		}
	}
}

func TestHints(t *testing.T) {
	t.Setenv("SLOTSYNC_TEST_SET", "1")
	text := "global\n  setenv OWN 1\n  presetenv PRE 1\n# ${COMMENT}\n  bind ${ONE}:${SLOTSYNC_TEST_SET} ${TWO-80} ${HAPROXY_LOCALPEER} ${OWN} ${PRE} ${ONE} ${THREE[*]}\n"
	if got := strings.Join(unsetVariables([]byte(text)), " "); got != "ONE THREE" {
		t.Errorf("got %q", got)
	}
	err := hint(errors.New("no"), "unable to load /k.pem: Permission denied", nil)
	hinted, ok := errors.AsType[*hintedError](err)
	if !ok || !strings.Contains(hinted.hint, "the check runs as user ") {
		t.Errorf("got %v", err)
	}
	if err := hint(errors.New("no"), "unknown keyword", nil); err.Error() != "no" {
		t.Errorf("got %v", err)
	}
}

// TestForeignTemplate: a template of consul-template is recognised.
func TestForeignTemplate(t *testing.T) {
	for text, says := range map[string]string{
		"{{range service \"web\"}}\nserver {{.Name}}\n{{end}}": "looks like a template of consul-template: here the endpoints are {{range servers \"web\"}}",
		"{{ key \"a\" }}":            "consul-template",
		"{{with secret `a`}}{{end}}": "consul-template",
	} {
		if _, err := renderer(t, text).render(sample()); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "tmpl:1: function") {
			t.Errorf("%s: got %v", text, err)
		}
	}
	if _, err := renderer(t, "{{nonsense}}").render(sample()); err == nil || strings.Contains(err.Error(), "consul-template") {
		t.Errorf("got %v", err)
	}
}

// TestCheckOfSeveralFiles: a configuration may be several files, named one by one or by
// their folder.
func TestCheckOfSeveralFiles(t *testing.T) {
	for _, version := range haproxytest.Versions {
		binary := haproxytest.Binary(t, version)
		s := newSite(t)
		s.put(t, filepath.Join(s.dir, "00-defaults.cfg"), "defaults common\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n")
		s.put(t, filepath.Join(s.dir, "99-front.cfg"), "frontend in from common\n  bind 127.0.0.1:1\n  default_backend web\n")
		s.put(t, filepath.Join(s.dir, "x.txt"), "nonsense\n")
		s.put(t, s.template(), "{{range .Backends}}backend {{.Proxy}} from common\n  {{serverTemplate .Name}}\n{{end}}")
		for _, check := range [][]string{
			{binary, "-c", "-f", filepath.Join(s.dir, "00-defaults.cfg"), "-f", fileMark, "-f", filepath.Join(s.dir, "99-front.cfg")},
			{binary, "-c", "-f", dirMark},
		} {
			o := s.options()
			o.Check = check
			tr, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			s.put(t, s.template(), "{{range .Backends}}backend {{.Proxy}} from common\n  {{serverTemplate .Name}}\n{{end}}")
			if words, err := tr.Check(t.Context(), web(5)); err != nil {
				t.Errorf("%s %q: %v\n%s", version, check, err, words)
			}
			s.put(t, s.template(), "backend api from common\n  bogus\n")
			words, err := tr.Check(t.Context(), web(5))
			if err == nil || !strings.Contains(words, s.file()+":2") {
				t.Errorf("%s %q: got %v\n%s", version, check, err, words)
			}
			wantOnly(t, s, "00-defaults.cfg", "99-front.cfg", "haproxy.cfg", "haproxy.cfg.tmpl", "running", "x.txt")
		}
	}
}

// TestMountedFile: a file that is mounted by itself is said to be so before anything is
// changed, by a reload and by a rehearsal.
func TestMountedFile(t *testing.T) {
	if dir := os.Getenv("SLOTSYNC_TEST_MOUNTED"); dir != "" {
		s := site{dir: dir, timeout: patience}
		tr := s.open(t)
		before := s.onDisk(t)
		_, err := tr.Run(t.Context(), Request{Data: web(20), Reason: "more"})
		wantFailure(t, err, StepReplace, false, "mount its folder")
		if !errors.Is(err, errMounted) || s.onDisk(t) != before {
			t.Errorf("got %v; the file is %q", err, s.onDisk(t))
		}
		if _, err := tr.Rehearse(t.Context(), web(20)); !errors.Is(err, errMounted) {
			t.Errorf("rehearsal: got %v", err)
		}
		if v, err := tr.Versions(); err != nil || len(v) > 0 {
			t.Errorf("kept %v, %v", v, err)
		}
		return
	}
	securedirtest.NeedsRoot(t, "it mounts; TestMountInfo has the rest")
	s := newSite(t)
	other := filepath.Join(t.TempDir(), "other.cfg")
	s.put(t, other, "backend old\n")
	cmd := exec.CommandContext(t.Context(), "unshare", "-m", "sh", "-c", `mount --bind "$0" "$1" && exec "$2" -test.run='^TestMountedFile$'`, other, s.file(), os.Args[0])
	cmd.Env = append(os.Environ(), "SLOTSYNC_TEST_MOUNTED="+s.dir)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestMountInfo(t *testing.T) {
	const info = "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n63 22 254:0 /a /etc/ha\\040proxy/haproxy.cfg rw - ext4 /dev/vda rw\n"
	for path, want := range map[string]bool{"/etc/ha proxy/haproxy.cfg": true, "/etc/haproxy.cfg": false, "/": true, "/a": false, "": false} {
		if got := isMountPoint(info, path); got != want {
			t.Errorf("%q: got %v", path, got)
		}
	}
}

// TestRehearse: what a reload would do is tried, and nothing is left of it.
func TestRehearse(t *testing.T) {
	s := newSite(t)
	o := s.options()
	o.Check = []string{"sh", "-c", "echo checked; grep -q websrv $0", fileMark}
	tr, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	words, err := tr.Rehearse(t.Context(), web(5))
	if err != nil || words != "checked" {
		t.Errorf("got %q, %v", words, err)
	}
	wantOnly(t, s, "haproxy.cfg", "haproxy.cfg.tmpl", "running")
	s.put(t, s.template(), "nothing\n")
	_, err = tr.Rehearse(t.Context(), web(5))
	wantFailure(t, err, StepCheck, false, "exit status 1")
	os.Remove(s.template())
	_, err = tr.Rehearse(t.Context(), web(5))
	wantFailure(t, err, StepRender, false, "no such file")
	o.Template, o.Check = "", []string{"sh", "-c", "cat $0", fileMark}
	if tr, err = New(o); err != nil {
		t.Fatal(err)
	}
	if words, err := tr.Rehearse(t.Context(), web(5)); err != nil || words != "backend old" {
		t.Errorf("a file of somebody else's: got %q, %v", words, err)
	}
}
