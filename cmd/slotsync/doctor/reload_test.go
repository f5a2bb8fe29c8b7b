package doctor

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
)

func TestExamineReload(t *testing.T) {
	dir := t.TempDir()
	tmpl := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	there, folder, link := tmpl("there", "global\n"), filepath.Join(dir, "folder"), filepath.Join(dir, "link")
	program := filepath.Join(dir, "program")
	write(t, program, 0o700)
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(folder, "haproxy.cfg"), link); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(dir, "none")
	with := func(change func(*config.Reload)) config.Reload {
		r := config.Reload{Name: "haproxy", Command: []string{program}, Template: there, File: filepath.Join(dir, "haproxy.cfg")}
		change(&r)
		return r
	}
	const runs = "ok it is reloaded by"
	for _, tt := range []struct {
		name     string
		reload   config.Reload
		stateDir string
		want     []string
	}{
		{"good", with(func(*config.Reload) {}), dir, []string{runs, "ok is rendered from"}},
		{"folders that are made", with(func(*config.Reload) {}), filepath.Join(dir, "a", "b"), []string{runs, "ok is rendered from"}},
		{"state below a file", with(func(*config.Reload) {}), filepath.Join(there, "a"), []string{runs, "fail versions are kept below " + there + ", which is no folder"}},
		{"no program", with(func(r *config.Reload) { r.Command = []string{none} }), dir, []string{"fail reload.command: ", "ok is rendered from"}},
		{"no program to run", with(func(r *config.Reload) { r.Command = []string{there} }), dir, []string{"fail permission denied", "ok is rendered from"}},
		{"no check", with(func(r *config.Reload) { r.Check = []string{"no-such-program", "{{.File}}"} }), dir,
			[]string{runs, "fail reload.check: exec: \"no-such-program\"", "ok is rendered from"}},
		{"no template", with(func(r *config.Reload) { r.Template = none }), dir, []string{runs, "fail reload.template cannot be used"}},
		{"template that renders", with(func(r *config.Reload) { r.Template = tmpl("t1", "{{serverTemplate \"web\" \"check\"}}\n") }), dir, []string{runs, "ok is rendered from"}},
		{"template that cannot be parsed", with(func(r *config.Reload) { r.Template = tmpl("t2", "backend web\n{{serverTemplate \"web\"") }), dir,
			[]string{runs, "fail reload.template: " + filepath.Join(dir, "t2") + ":2: unclosed action"}},
		{"template of another backend", with(func(r *config.Reload) { r.Template = tmpl("t3", "{{serverTemplate \"wbe\"}}\n") }), dir, []string{runs, "fail no backend \"wbe\"; there are: web"}},
		{"template is a folder", with(func(r *config.Reload) { r.Template = folder }), dir, []string{runs, "fail is no file"}},
		{"file is a folder", with(func(r *config.Reload) { r.File = folder }), dir, []string{runs, "fail is no file"}},
		{"no folder for the file", with(func(r *config.Reload) { r.File = filepath.Join(none, "x") }), dir, []string{runs, "fail reload.file is replaced in " + none}},
		{"a link to nowhere yet", with(func(r *config.Reload) { r.File = link }), dir, []string{runs, "ok " + link + " is rendered"}},
		{"file of somebody else", with(func(r *config.Reload) { r.Template, r.File = "", none }), dir, []string{runs, "fail reload.file cannot be used"}},
		{"no file", with(func(r *config.Reload) { r.Template, r.File = "", "" }), dir, []string{runs}},
		{"no master", config.Reload{Name: "haproxy", Master: none}, dir, []string{"fail reload.master does not answer: "}},
		{"master that is none", config.Reload{Name: "haproxy", Master: there}, dir, []string{"fail reload.master does not answer: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := &config.Config{StateDir: tt.stateDir, Timeout: time.Second, Backends: []config.Backend{{Name: "web", Proxy: "web"}}}
			expect(t, examineReload(t.Context(), cfg, tt.reload, nil).list, tt.want)
		})
	}
}

func TestJudgeUnchecked(t *testing.T) {
	instances := []config.Instance{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	processes := []slots.Process{{Version: "3.4.7-1"}, {Version: "3.2.26"}, {Version: "3.4.7-1"}}
	r := config.Reload{File: "/f", Instances: []string{"a", "b"}}
	f := findings{subject: "reload haproxy"}
	f.judgeUnchecked(r, instances, processes)
	expect(t, f.list, []string{"fail instance a runs HAProxy 3.4.7-1, whose master may end"})
	r.Check = []string{"haproxy", "-c", "-f", "{{.File}}"}
	f.list = nil
	f.judgeUnchecked(r, instances, processes)
	r.Check, r.File = nil, ""
	f.judgeUnchecked(r, instances, processes)
	expect(t, f.list, nil)
}

func TestJudgeWorkers(t *testing.T) {
	r := config.Reload{Master: "/m", Instances: []string{"a", "b"}}
	instances := []config.Instance{{Name: "a"}, {Name: "b"}, {Name: "elsewhere"}}
	workers := []haproxy.Worker{{Pid: 12}, {Pid: 11, Old: true, Age: 90*time.Second + time.Millisecond}, {Pid: 10, Old: true, Age: 2 * time.Hour}}
	for _, tt := range []struct {
		name      string
		workers   []haproxy.Worker
		processes []slots.Process
		want      []string
	}{
		{"one", workers[:1], []slots.Process{{Pid: 12}, {}, {Pid: 5}}, []string{"ok answers, 1 worker"}},
		{"old ones", workers, []slots.Process{{Pid: 12}, {}, {}}, []string{"ok answers, 3 workers", "warn 2 old workers of earlier reloads, the oldest pid 10, 2h old"}},
		{"of another HAProxy", workers[:1], []slots.Process{{Pid: 12}, {Pid: 7}, {}}, []string{"ok answers", "fail instance b is process 7, which is no worker of this master"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := findings{subject: "reload haproxy"}
			f.judgeWorkers(r, tt.workers, instances, tt.processes)
			expect(t, f.list, tt.want)
		})
	}
}
