package reload

import (
	"os"
	"testing"
	"testing/synctest"
)

// The tag changes with everything that a reload goes by, and with nothing else.
func TestFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		tr := s.open(t)
		mustRun(t, tr, Request{Data: web(10)})
		first := tr.Files()
		if first.Tag == "" || first.ByHand || tr.Files() != first {
			t.Errorf("%+v, then %+v", first, tr.Files())
		}
		before, err := os.ReadFile(s.template())
		if err != nil {
			t.Fatal(err)
		}
		s.put(t, s.template(), "# repaired\n"+string(before))
		repaired := tr.Files()
		if repaired.Tag == first.Tag || repaired.ByHand {
			t.Errorf("%+v after the template has changed", repaired)
		}
		s.put(t, s.template(), string(before))
		if f := tr.Files(); f != first {
			t.Errorf("%+v, not %+v as before", f, first)
		}
		s.put(t, s.file(), "by hand\n")
		if f := tr.Files(); f.Tag == first.Tag || !f.ByHand {
			t.Errorf("%+v of a file that was changed by hand", f)
		}
		if err := os.Remove(s.file()); err != nil {
			t.Fatal(err)
		}
		if f := tr.Files(); f != (Files{}) {
			t.Errorf("%+v of what is not there", f)
		}
	})
}

// A check says beforehand that the reload would be refused, and the advice is enough.
func TestCheckSaysThatTheFileWasChangedByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		tr := s.open(t)
		mustRun(t, tr, Request{Data: web(10)})
		if _, err := tr.Check(t.Context(), web(20)); err != nil {
			t.Fatal(err)
		}
		s.put(t, s.file(), "by hand\n")
		_, err := tr.Check(t.Context(), web(20))
		wantFailure(t, err, StepReplace, false, "then reload with `slotsync haproxy reload --force`")
		if s.onDisk(t) != "by hand\n" {
			t.Error("a check has changed it")
		}
		mustRun(t, tr, Request{Data: web(20), By: "ann", Force: true})
		if _, err := tr.Check(t.Context(), web(30)); err != nil {
			t.Error(err)
		}
	})
}
