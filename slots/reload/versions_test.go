package reload

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/securedir"
)

// TestVersionsProperties runs transactions that succeed and fail: the newest come
// first, Keep are kept and no more than two besides, and always the newest good
// one, which is the file.
func TestVersionsProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "ss")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			s := site{dir: dir}
			s.put(t, s.template(), "backend {{slots `web`}}\n")
			s.put(t, s.file(), "old\n")
			s.start(running{100, "old\n"})
			o := s.options()
			o.Keep = rapid.IntRange(1, 4).Draw(rt, "keep")
			seen := map[string]bool{}
			for _, n := range rapid.SliceOfN(rapid.IntRange(-3, 3), 1, 6).Draw(rt, "slots") {
				s.how = ""
				if n < 0 {
					s.how, n = "refuses", -n
				}
				o.Reloader = s
				tr, err := New(o)
				if err != nil {
					t.Fatal(err)
				}
				// what survives a crash is not what this is about
				tr.write = func(path string, text []byte, _ securedir.Attributes, _ func() error) error {
					return os.WriteFile(path, text, 0o600)
				}
				tr.reached = func(at string) {
					if at == "about to put back" {
						tr.dropBackup(s.file())
					}
				}
				tr.Run(t.Context(), Request{Data: web(n + 1), Reason: fmt.Sprint(n)})
				wantVersions(t, tr, o.Keep, seen)
			}
		})
	})
}

func wantVersions(t *testing.T, tr *Transaction, keep int, seen map[string]bool) {
	t.Helper()
	kept, err := tr.Versions()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range kept {
		seen[v.ID] = true
		if got, text, err := tr.Version(v.ID); err != nil || got != v || len(text) != v.Bytes || sum(text) != v.SHA256 {
			t.Errorf("got %+v, %v, want %+v", got, err, v)
		}
	}
	if len(kept) < min(keep, len(seen)) || len(kept) > keep+2 {
		t.Errorf("%d versions are kept of %d, want %d", len(kept), len(seen), keep)
	}
	if !slices.IsSortedFunc(kept, func(a, b Version) int { return b.At.Compare(a.At) }) {
		t.Errorf("not the newest first: %+v", kept)
	}
	text, etag, err := tr.Show()
	i := slices.IndexFunc(kept, func(v Version) bool { return v.SHA256 == etag })
	if err != nil || i < 0 || etag != sum(text) {
		t.Fatalf("the file %q is none of them, %v", text, err)
	}
	if good := slices.IndexFunc(kept, func(v Version) bool { return v.Good }); good >= 0 && kept[good].SHA256 != etag {
		t.Errorf("the newest good one is %+v, the file %+v", kept[good], kept[i])
	}
	files, err := os.ReadDir(tr.o.Dir)
	if err != nil || len(files) > 2+2*len(kept) {
		t.Errorf("%d files for %d versions, %v", len(files), len(kept), err)
	}
}

// TestClockGoesBack keeps the order of versions.
func TestClockGoesBack(t *testing.T) {
	s := newSite(t)
	tr := s.open(t)
	if err := os.Mkdir(s.kept(), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"29990101T000000.000Z-00000000.cfg", "x.cfg", "29990101T000000.000Z-00000001.json"} {
		s.put(t, filepath.Join(s.kept(), name), "x")
	}
	res := mustRun(t, tr, Request{Data: web(10)})
	kept, err := tr.Versions()
	if err != nil || len(kept) != 3 || kept[0].ID != res.Version || !strings.HasPrefix(res.Version, "29990101T000000.002Z-") {
		t.Errorf("got %+v, %v", kept, err)
	}
	if kept[2].Reason != "unknown" || kept[2].Bytes != 1 {
		t.Errorf("got %+v", kept[2])
	}
	if _, err := os.Stat(filepath.Join(s.kept(), "29990101T000000.000Z-00000001.json")); err == nil {
		t.Error("facts without a text are left")
	}
}

func TestShow(t *testing.T) {
	s := newSite(t)
	tr := s.open(t)
	if text, etag, err := tr.Show(); err != nil || string(text) != "backend old\n" || etag != sum(text) {
		t.Errorf("got %q, %s, %v", text, etag, err)
	}
	os.Remove(s.file())
	if _, _, err := tr.Show(); !os.IsNotExist(err) {
		t.Errorf("got %v", err)
	}
	if kept, err := tr.Versions(); err != nil || len(kept) != 0 {
		t.Errorf("got %v, %v", kept, err)
	}
}
