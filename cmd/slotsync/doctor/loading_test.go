package doctor

import (
	"testing"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// TestJudgeLoading: doctor says that a restart would come up empty, before there is one.
func TestJudgeLoading(t *testing.T) {
	const head = "global\n  stats socket {socket} level admin\n  user root\n"
	const defaults = "defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n"
	const web = "backend web\n  server a 127.0.0.1:1\n"
	for _, tt := range []struct{ name, global, defaults, web, file, want string }{
		{"nothing", "", "", "", "/s/web", "fail HAProxy does not load the state file of web: write `load-server-state-from-file local`"},
		{"none", "  server-state-base /s\n", "  load-server-state-from-file local\n", "  load-server-state-from-file none\n", "/s/web", "fail HAProxy does not load"},
		{"local", "  server-state-base /s\n", "  load-server-state-from-file local\n", "", "/s/{backend}", "ok HAProxy loads /s/web at its start"},
		{"by the name of the backend", "  server-state-base /s\n", "  load-server-state-from-file local\n  server-state-file-name use-backend-name\n", "", "/s/{backend}", "ok "},
		{"another name", "  server-state-base /s\n", "  load-server-state-from-file local\n", "  server-state-file-name x\n", "/s/{backend}",
			"fail HAProxy loads the state of web from /s/x, and state_file writes /s/web"},
		{"another folder", "  server-state-base /t\n", "", "  load-server-state-from-file local\n", "/s/{backend}", "fail HAProxy loads the state of web from /t/web"},
		{"a whole path", "", "", "  load-server-state-from-file local\n  server-state-file-name /s/web\n", "/s/{backend}", "ok "},
		{"global", "  server-state-base /s\n  server-state-file all\n", "  load-server-state-from-file global\n", "", "/s/all", "ok HAProxy loads /s/all"},
		{"global elsewhere", "  server-state-file /t/all\n", "  load-server-state-from-file global\n", "", "/s/all", "fail HAProxy loads the state of web from /t/all"},
		{"global of nothing", "", "  load-server-state-from-file global\n", "", "/s/all", "fail HAProxy does not load"},
		{"a comment", "", "", "  # load-server-state-from-file local\n", "/s/web", "fail HAProxy does not load"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := haproxytest.Start(t, haproxytest.Config{Version: "3.0", Text: head + tt.global + defaults + tt.defaults + web + tt.web})
			f := findings{subject: "x"}
			f.judgeLoading(config.Instance{Name: "edge", StateFile: tt.file}, "web", runningAs(p.Pid()))
			expect(t, f.list, []string{tt.want})
			f = findings{subject: "x"}
			f.judgeLoading(config.Instance{Name: "edge", StateFile: tt.file}, "elsewhere", runningAs(p.Pid()))
			f.judgeLoading(config.Instance{Name: "edge"}, "web", runningAs(p.Pid()))
			f.judgeLoading(config.Instance{Name: "edge", StateFile: tt.file}, "web", runningAs(0))
			expect(t, f.list, nil)
		})
	}
}

// Each section has the defaults that it names, or the last ones before it.
func TestLoadingOfDefaults(t *testing.T) {
	c := loadingConfig{backends: map[string]stateLoad{}}
	c.read(readSections(ConfigFile{Text: []byte(`global
  server-state-base /s
defaults one
  load-server-state-from-file local
defaults two from one
  server-state-file-name x
defaults three
backend a
backend b from one
listen c from two
defaults
  load-server-state-from-file global
frontend f
  mode http
backend d
backend e
  load-server-state-from-file local
  server-state-file-name "$X/y"
`)}))
	for proxy, want := range map[string]string{"a": "", "b": "/s/b", "c": "/s/x"} {
		if got, known := c.path(proxy); got != want || !known {
			t.Errorf("%s: %q, %t", proxy, got, known)
		}
	}
	for _, proxy := range []string{"e", "f", "nobody"} {
		if got, known := c.path(proxy); known {
			t.Errorf("%s: %q is known", proxy, got)
		}
	}
}

// TestLoadingOfSeveralFiles: defaults of an earlier file hold in a later one.
func TestLoadingOfSeveralFiles(t *testing.T) {
	r := running{whole: true, sections: readSections(ConfigFile{Text: []byte("defaults\n  load-server-state-from-file local\n")},
		ConfigFile{Text: []byte("global\n  server-state-base /s\nbackend a\n")})}
	c, ok := r.loading()
	if got, known := c.path("a"); !ok || got != "/s/a" || !known {
		t.Errorf("%q, %t, %t", got, known, ok)
	}
}
