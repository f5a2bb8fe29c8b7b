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
	policy := discovery.Policy{Family: discovery.OnlyV4}
	for name, s := range map[string]discovery.Source{"itself": src, "behind a policy": policy.Restrict(src)} {
		if got := discovery.Diagnose(t.Context(), s); !cmp.Equal(got, want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := discovery.Diagnose(t.Context(), policy.Restrict(discovery.Static(nil))); got != nil {
		t.Errorf("one that does not look: %+v", got)
	}
	broken := diagnosed{find: func() []discovery.Finding { panic("nil map") }}
	if got := discovery.Diagnose(t.Context(), broken); len(got) != 1 || got[0].Verdict != discovery.Faulty || !strings.Contains(got[0].Text, "nil map") {
		t.Errorf("one that panics: %+v", got)
	}
}
