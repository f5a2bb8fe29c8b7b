package agent

import (
	"errors"
	"testing"

	"github.com/slotsync/slotsync/reload"
)

func TestSectionsAreEdited(t *testing.T) {
	f := &fakeReload{}
	managed(t, f, func(w *world) {
		w.start()
		all, etag, err := w.agent.HAProxySections(w.t.Context(), "")
		if err != nil || etag != "1" || len(all) != 1 || all[0] != (ConfigSection{Type: "global", Line: 1}) {
			t.Fatalf("got %+v, %q, %v", all, etag, err)
		}
		if text, _, err := w.agent.HAProxySection(w.t.Context(), "haproxy", "global", ""); err != nil || string(text) != "global\n" {
			t.Errorf("got %q, %v", text, err)
		}
		e := SectionEdit{Type: "global", Body: []byte("global # more\n"), ETag: etag, By: "ann"}
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
		if _, err := w.agent.EditHAProxySection(w.t.Context(), e); !errors.Is(err, ErrChanged) || len(f.ran()) != 1 {
			t.Errorf("with an old tag: %v", err)
		}
		if _, _, err := w.agent.HAProxySection(w.t.Context(), "", "backend", "x"); !errors.Is(err, ErrNoSection) {
			t.Errorf("got %v", err)
		}
		if _, _, err := w.agent.HAProxySections(w.t.Context(), "other"); !errors.Is(err, ErrNoReload) {
			t.Errorf("got %v", err)
		}
	})
}

func TestSectionErrors(t *testing.T) {
	other := errors.New("other")
	for theirs, ours := range map[error]error{reload.ErrBadSection: ErrBadSection, reload.ErrNotKept: ErrNoReload, other: other, nil: nil} {
		if got := sectionFailed(theirs); !errors.Is(got, ours) {
			t.Errorf("%v: got %v, want %v", theirs, got, ours)
		}
	}
}
