package discovery_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/discovery"
)

// A diagnosed source finds what its function does.
type diagnosed struct {
	confirming
	find func() []discovery.Finding
}

func (d diagnosed) Diagnose(context.Context) []discovery.Finding { return d.find() }

func TestDiagnose(t *testing.T) {
	want := []discovery.Finding{{Verdict: discovery.Dubious, Text: "so and so"}}
	src := diagnosed{find: func() []discovery.Finding { return want }}
	if got := discovery.Diagnose(t.Context(), src); !cmp.Equal(got, want) {
		t.Errorf("found %+v", got)
	}
	if got := discovery.Diagnose(t.Context(), discovery.Static(nil)); got != nil {
		t.Errorf("one that does not look: %+v", got)
	}
	broken := diagnosed{find: func() []discovery.Finding { panic("nil map") }}
	if got := discovery.Diagnose(t.Context(), broken); len(got) != 1 || got[0].Verdict != discovery.Faulty || !strings.Contains(got[0].Text, "nil map") {
		t.Errorf("one that panics: %+v", got)
	}
}
