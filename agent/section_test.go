package agent

import (
	"errors"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/agent/api"
)

func TestSectionsAreEdited(t *testing.T) {
	f := &fakeReload{}
	managed(t, f, func(w *world) {
		w.start()
		all, etag, err := w.agent.HAProxySections(w.t.Context(), "")
		if err != nil || etag != "1" || len(all) != 1 || all[0] != (api.ConfigSection{Type: "global", Line: 1}) {
			t.Fatalf("got %+v, %q, %v", all, etag, err)
		}
		if text, _, err := w.agent.HAProxySection(w.t.Context(), "haproxy", "global", ""); err != nil || string(text) != "global\n" {
			t.Errorf("got %q, %v", text, err)
		}
		e := api.SectionEdit{Type: "global", Body: []byte("global # more\n"), ETag: etag, By: "ann"}
		if diff, err := w.agent.PreviewHAProxySection(w.t.Context(), e); err != nil || diff != "-global\n+global # more\n" {
			t.Errorf("got %q, %v", diff, err)
		}
		if len(f.ran()) > 0 {
			t.Fatal("a preview reloads")
		}
		if _, err := w.agent.EditHAProxySection(w.t.Context(), e); err != nil {
			t.Fatal(err)
		}
		ran := f.ran()
		if len(ran) != 1 || ran[0].By != "ann" || len(ran[0].Data.Backends) != 1 {
			t.Errorf("got %+v", ran)
		}
		e.ETag = "0"
		if _, err := w.agent.EditHAProxySection(w.t.Context(), e); !errors.Is(err, api.ErrChanged) || len(f.ran()) != 1 {
			t.Errorf("with an old tag: %v", err)
		}
		if _, _, err := w.agent.HAProxySection(w.t.Context(), "", "backend", "x"); !errors.Is(err, api.ErrNoSection) {
			t.Errorf("got %v", err)
		}
		if _, _, err := w.agent.HAProxySections(w.t.Context(), "other"); !errors.Is(err, api.ErrNoReload) {
			t.Errorf("got %v", err)
		}
	})
}

// TestSectionsOfSeveralFiles: which of several files is edited has to be said.
func TestSectionsOfSeveralFiles(t *testing.T) {
	f, other := &fakeReload{}, &fakeReload{tag: "1"}
	managed(t, f, func(w *world) {
		w.opts.Reloads[0].Instances = []string{"a"}
		w.opts.Reloads = append(w.opts.Reloads, Reload{Name: "b", Instances: []string{"b"}, Transaction: other})
		w.start()
		e := api.SectionEdit{Type: "global", Body: []byte("global # more\n"), ETag: "1"}
		for _, ask := range []func() error{
			func() error { _, err := w.agent.PreviewHAProxySection(w.t.Context(), e); return err },
			func() error { _, err := w.agent.EditHAProxySection(w.t.Context(), e); return err },
		} {
			if err := ask(); !errors.Is(err, api.ErrBadRequest) || !strings.HasSuffix(err.Error(), "of haproxy, b") {
				t.Errorf("got %v", err)
			}
		}
		e.Reload = "b"
		if diff, err := w.agent.PreviewHAProxySection(w.t.Context(), e); err != nil || diff == "" {
			t.Errorf("got %q, %v", diff, err)
		}
		if len(f.ran())+len(other.ran()) > 0 {
			t.Error("something was reloaded")
		}
	})
}
