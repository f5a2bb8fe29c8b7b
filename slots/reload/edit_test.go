package reload

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/slotsync/slotsync/slots"
)

const (
	editedTemplate = "{{range .Backends}}backend {{.Proxy}}\n  {{serverTemplate .Name}}\n{{end}}\nbackend more\n"
	moreSection    = "backend more\n"
	// sameFile renders to what the section rendered to before.
	sameFile = "backend more\n{{- /* not a word */ -}}\n"
)

func (s site) templateText(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(s.template())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (s site) foreign(t *testing.T) *Transaction {
	t.Helper()
	o := s.options()
	o.Template = ""
	tr, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestEditTemplate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		tr := s.open(t)
		mustRun(t, tr, Request{Data: web(10)})
		_, etag, err := tr.Sections()
		if err != nil {
			t.Fatal(err)
		}
		e := Edit{Type: "backend", Name: "more", Body: []byte(moreSection), ETag: etag, By: "ann", Data: web(10)}
		diff, err := tr.Preview(e)
		if err != nil || !strings.Contains(diff, "\n+backend more\n") || s.templateText(t) == editedTemplate {
			t.Errorf("got %v\n%s", err, diff)
		}
		res, err := tr.Edit(t.Context(), e)
		if err != nil || !res.Changed || res.Reason != "edit of backend more" {
			t.Fatalf("got %+v, %v", res, err)
		}
		if s.templateText(t) != editedTemplate || s.onDisk(t) != rendered(10)+"\nbackend more\n" || s.running().Text != s.onDisk(t) {
			t.Errorf("template %q, file %q", s.templateText(t), s.onDisk(t))
		}
		if _, err := tr.Edit(t.Context(), e); !errors.Is(err, slots.ErrConfigChanged) {
			t.Errorf("with the old tag: %v", err)
		}
		if text, _, err := tr.Section("backend", "more"); err != nil || string(text) != moreSection {
			t.Errorf("got %q, %v", text, err)
		}
		if res, err := tr.Edit(t.Context(), Edit{Type: "backend", Name: "more", By: "ann", Data: web(10)}); err != nil || res.Reason != "removal of backend more" {
			t.Errorf("got %+v, %v", res, err)
		}
		wantOnly(t, s, "haproxy.cfg", "haproxy.cfg.tmpl", "kept", "running")
	})
}

func TestEditForeignFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		tr := s.foreign(t)
		e := Edit{Type: "backend", Name: "more", Body: []byte(moreSection), By: "ann"}
		if res, err := tr.Edit(t.Context(), e); err != nil || !res.Changed {
			t.Fatalf("got %+v, %v", res, err)
		}
		if s.onDisk(t) != "backend old\nbackend more\n" || s.running().Text != s.onDisk(t) {
			t.Errorf("the file is %q", s.onDisk(t))
		}
		versions, err := tr.Versions()
		if err != nil || len(versions) != 2 {
			t.Fatalf("got %+v, %v", versions, err)
		}
		if _, err := tr.Restore(t.Context(), versions[1].ID, "ann"); err != nil || s.onDisk(t) != "backend old\n" {
			t.Errorf("got %v, file %q", err, s.onDisk(t))
		}
		wantChanged(t, tr, false)
	})
}

func TestEditRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		tr := s.open(t)
		for want, e := range map[error]Edit{
			slots.ErrNoSection:     {Type: "backend", Name: "none"},
			slots.ErrBadSection:    {Type: "backend", Name: "none", Body: []byte("global\n")},
			slots.ErrConfigChanged: {Type: "backend", Name: "more", Body: []byte(moreSection), ETag: "0"},
		} {
			if res, err := tr.Edit(t.Context(), e); !errors.Is(err, want) || res.Step != "" {
				t.Errorf("got %+v, %v, want %v", res, err, want)
			}
		}
		_, err := tr.Edit(t.Context(), Edit{Type: "backend", Name: "more", Body: []byte("backend more\n{{nothing}}\n"), By: "ann", Data: web(10)})
		wantFailure(t, err, StepRender, false, "nothing")
		o := s.options()
		o.Template, o.Dir = "", ""
		bare, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := bare.Sections(); !errors.Is(err, slots.ErrNotKept) {
			t.Errorf("got %v", err)
		}
		o.File, o.Dir = s.dir, s.kept()
		if bare, err = New(o); err != nil {
			t.Fatal(err)
		}
		if _, _, err := bare.Sections(); err == nil || !strings.Contains(err.Error(), "one file") {
			t.Errorf("a folder: %v", err)
		}
		wantOnly(t, s, "haproxy.cfg", "haproxy.cfg.tmpl", "kept", "running")
	})
}

// TestEditOfATemplateThatChanges: while the edit is on its way. Nothing is left to end.
func TestEditOfATemplateThatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		tr := s.open(t)
		mustRun(t, tr, Request{Data: web(10)})
		tr.reached = func(at string) {
			if at == "kept what was rendered" {
				s.put(t, s.template(), editedTemplate)
			}
		}
		_, err := tr.Edit(t.Context(), Edit{Type: "global", Body: []byte("global\n"), By: "ann", Data: web(10)})
		if !errors.Is(err, slots.ErrConfigChanged) || s.templateText(t) != editedTemplate || s.onDisk(t) != rendered(10) {
			t.Errorf("%v, template %q, file %q", err, s.templateText(t), s.onDisk(t))
		}
		if res, had, err := s.open(t).Recover(t.Context()); had || err != nil {
			t.Errorf("left to end: %+v, %v", res, err)
		}
	})
}

// TestEditFails: the reload fails, and both the file and the template are the
// ones from before.
func TestEditFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		before := s.templateText(t)
		mustRun(t, s.open(t), Request{Data: web(10)})
		s.how = "refuses"
		_, err := s.open(t).Edit(t.Context(), Edit{Type: "backend", Name: "more", Body: []byte(moreSection), By: "ann", Data: web(10)})
		wantFailure(t, err, StepReload, true, "Success=0")
		if s.templateText(t) != before || s.onDisk(t) != rendered(10) {
			t.Errorf("template %q, file %q", s.templateText(t), s.onDisk(t))
		}
		wantOnly(t, s, "haproxy.cfg", "haproxy.cfg.tmpl", "kept", "running")
	})
}

// TestEditCutShort ends an edit at each point. After the next start template and
// file belong together, and HAProxy runs the file.
func TestEditCutShort(t *testing.T) {
	points := map[string][]string{
		"": {"kept what was found", "kept what was rendered", "wrote the journal", "replaced the template", "set aside", "replaced",
			"about to reload", "reloaded", "new workers answered", "called it good", "closed the journal"},
		"refuses": {"about to put back", "put back", "closed the journal"},
	}
	for how, all := range points {
		for _, point := range all {
			for _, body := range []string{moreSection + "  balance source\n", sameFile} {
				t.Run(how+"/"+point, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { cutEdit(t, how, point, body) })
				})
			}
		}
	}
}

func cutEdit(t *testing.T, how, point, body string) {
	t.Helper()
	s := newSite(t)
	s.put(t, s.template(), editedTemplate)
	mustRun(t, s.open(t), Request{Data: web(10)})
	before := s.templateText(t)
	s.how = how
	func() {
		tr := s.open(t)
		defer func() { _ = recover() }()
		tr.reached = func(at string) {
			if at == point {
				panic(at)
			}
		}
		_, _ = tr.Edit(t.Context(), Edit{Type: "backend", Name: "more", Body: []byte(body), By: "ann", Data: web(10)})
	}()
	s.how = ""
	tr := s.open(t)
	if _, _, err := tr.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	edited := s.templateText(t) != before
	if changed := s.onDisk(t) != rendered(10)+"\nbackend more\n"; edited != changed && body != sameFile {
		t.Errorf("template edited: %t, file %q", edited, s.onDisk(t))
	}
	if s.running().Text != s.onDisk(t) {
		t.Errorf("HAProxy runs %q, the file is %q", s.running().Text, s.onDisk(t))
	}
	wantOnly(t, s, "haproxy.cfg", "haproxy.cfg.tmpl", "kept", "running")
	if _, err := os.Lstat(filepath.Join(tr.o.Dir, templateBefore)); err == nil {
		t.Error("the template from before is still there")
	}
}
