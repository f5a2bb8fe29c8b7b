package haproxy_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// TestSamples: in configurations of the kinds that people have the slots are found, are
// filled, and are there again after a restart from the state file.
func TestSamples(t *testing.T) {
	t.Parallel()
	for _, version := range haproxytest.Versions {
		for _, sample := range haproxytest.Samples(t, version) {
			t.Run(version+"/"+sample.Name, func(t *testing.T) {
				t.Parallel()
				p := haproxytest.Start(t, sample.Config(t, version))
				c := saver(t, p.Socket, filepath.Join(p.StateDir(), sample.StateFile))
				v, err := c.View(t.Context(), nil, true)
				if err != nil {
					t.Fatal(err)
				}
				prefix, candidates := slots.FindPrefix(v.Servers["web"])
				if prefix != sample.Prefix {
					t.Fatalf("found %q of %q, want %q", prefix, candidates, sample.Prefix)
				}
				own := slots.Own(v.Servers["web"], prefix)
				want := slots.Range{Prefix: sample.Prefix, First: sample.First, Last: sample.Last}
				if r, err := slots.RangeOf(own, prefix); r != want || err != nil {
					t.Fatalf("got %+v, %v; want %+v", r, err, want)
				}
				v.Servers["web"] = own
				out, err := c.Apply(t.Context(), v.Process, fills(v, "web", len(own)))
				if err != nil || len(out.Refusals) > 0 {
					t.Fatalf("got %v, %v", out.Refusals, err)
				}
				now := slots.Own(out.View.Servers["web"], prefix)
				before := served(now)
				if len(before) != len(own) {
					t.Errorf("%d of %d are filled", len(before), len(own))
				}
				if err := c.Save("web", now); err != nil {
					t.Fatal(err)
				}
				p.Restart()
				if v, err = c.View(t.Context(), []string{"web"}, true); err != nil {
					t.Fatal(err)
				}
				after := served(slots.Own(v.Servers["web"], prefix))
				if same := cmp.Equal(before, after); same == sample.Lost {
					t.Errorf("restored: %v (-before +after)\n%s", same, cmp.Diff(before, after))
				}
			})
		}
	}
}
