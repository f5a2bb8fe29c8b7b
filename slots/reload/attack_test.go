package reload

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/securedir"
	"github.com/slotsync/slotsync/securedir/securedirtest"
	"github.com/slotsync/slotsync/slots"
)

// besieged is a site that other users can get to.
func besieged(t *testing.T) site {
	t.Helper()
	s := newSite(t)
	if err := os.Chmod(filepath.Dir(s.dir), 0o755); err != nil { // testing makes it 0700
		t.Fatal(err)
	}
	return s
}

func everybodys(t *testing.T, dir string) {
	t.Helper()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
}

// wantRefused expects an error that names the folder and says what to do.
func wantRefused(t *testing.T, err error, dir string) {
	t.Helper()
	if !errors.Is(err, securedir.ErrUnsafe) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "chmod go-w it") {
		t.Errorf("got %v", err)
	}
}

// A journal that somebody else has put there does not decide what HAProxy runs.
func TestPlantedJournal(t *testing.T) {
	s := besieged(t)
	s.put(t, s.file(), rendered(10))
	dir := filepath.Join(s.dir, "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	everybodys(t, dir)
	evil := Version{ID: "20260101T000000.000Z-" + sum([]byte("evil\n"))[:8], SHA256: sum([]byte("evil\n")), Bytes: 5}
	planted, err := json.Marshal(journal{
		Version: journalVersion, File: s.file(),
		Pending: &pending{Step: stepBack, From: evil, To: Version{ID: "x", SHA256: sum([]byte(rendered(10)))}, Before: map[string]slots.Process{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	facts, _ := json.Marshal(evil)
	securedirtest.Attack(t, `mkdir -m 777 "$1/kept"; printf '%s' "$2" >"$1/kept/journal.json"; printf '%s' "$3" >"$1/kept/$4.json"; echo evil >"$1/kept/$4.cfg"`,
		dir, string(planted), string(facts), evil.ID)
	o := s.options()
	o.Dir = filepath.Join(dir, "kept")
	tr, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = tr.Recover(t.Context())
	wantRefused(t, err, dir)
	_, err = tr.Run(t.Context(), Request{Data: web(20), By: "ann", Force: true})
	wantRefused(t, err, dir)
	if s.onDisk(t) != rendered(10) {
		t.Errorf("the file is %q", s.onDisk(t))
	}
	// the same in a folder that was mended without a look at what is in it
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, _, err = tr.Recover(t.Context()); !errors.Is(err, securedir.ErrUnsafe) || s.onDisk(t) != rendered(10) {
		t.Errorf("%v; the file is %q", err, s.onDisk(t))
	}
	if err := os.Chown(o.Dir, 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(o.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err = tr.Recover(t.Context()); !errors.Is(err, securedir.ErrUnsafe) || s.onDisk(t) != rendered(10) {
		t.Errorf("%v; the file is %q", err, s.onDisk(t))
	}
}

// A link in place of the folder of versions changes nothing where it leads.
func TestLinkedVersions(t *testing.T) {
	s := besieged(t)
	victim := t.TempDir()
	if err := os.Chmod(victim, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"open": 0o777, "sticky": 0o777 | os.ModeSticky} {
		dir := filepath.Join(s.dir, name)
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, mode)); err != nil {
			t.Fatal(err)
		}
		securedirtest.Attack(t, `ln -s "$2" "$1/kept"`, dir, victim)
		o := s.options()
		o.Dir = filepath.Join(dir, "kept")
		tr, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Run(t.Context(), Request{Data: web(20), By: "ann"}); !errors.Is(err, securedir.ErrUnsafe) {
			t.Errorf("%s: %v", name, err)
		}
	}
	info, err := os.Stat(victim)
	list, _ := os.ReadDir(victim)
	if err != nil || info.Mode().Perm() != 0o755 || len(list) != 0 {
		t.Errorf("%v, %v, %v", info.Mode(), list, err)
	}
}

// A link in place of the file does not have somebody else's file overwritten.
func TestLinkedFile(t *testing.T) {
	s := besieged(t)
	victim := filepath.Join(t.TempDir(), "shadow")
	s.put(t, victim, "precious\n")
	everybodys(t, s.dir)
	securedirtest.Attack(t, `rm "$1/haproxy.cfg"; ln -s "$2" "$1/haproxy.cfg"`, s.dir, victim)
	o := s.options()
	o.Dir = filepath.Join(t.TempDir(), "kept")
	tr, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tr.Run(t.Context(), Request{Data: web(20), By: "ann", Force: true})
	wantRefused(t, err, s.dir)
	_, _, err = tr.Show()
	wantRefused(t, err, s.dir)
	if b, _ := os.ReadFile(victim); string(b) != "precious\n" {
		t.Errorf("overwritten: %q", b)
	}
}

// A link that only root can have made is followed as before.
func TestLinkOfOurs(t *testing.T) {
	s := newSite(t)
	there := filepath.Join(t.TempDir(), "there.cfg")
	s.put(t, there, "backend old\n")
	if err := errors.Join(os.Remove(s.file()), os.Symlink(there, s.file())); err != nil {
		t.Fatal(err)
	}
	tr := s.open(t)
	mustRun(t, tr, Request{Data: web(10)})
	if b, _ := os.ReadFile(there); string(b) != rendered(10) {
		t.Errorf("got %q", b)
	}
	if info, err := os.Lstat(s.file()); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
}

// Who edits the template, or the file, in the last moment before it is replaced keeps what
// they wrote.
func TestEditedInTheLastMoment(t *testing.T) {
	for _, of := range []string{"template", "file"} {
		t.Run(of, func(t *testing.T) {
			s := newSite(t)
			tr := s.open(t)
			mustRun(t, tr, Request{Data: web(10)})
			path, before := s.file(), s.templateText(t)
			if of == "template" {
				path = s.template()
			}
			write := tr.write
			tr.write = func(to string, text []byte, like securedir.Attributes, still func() error) error {
				if to != path {
					return write(to, text, like, still)
				}
				return write(to, text, like, func() error {
					s.put(t, path, "mine\n") // all is written; only the rename is left
					return still()
				})
			}
			_, err := tr.Edit(t.Context(), Edit{Type: "backend", Name: "more", Body: []byte(moreSection), By: "ann", Data: web(10)})
			want := slots.ErrConfigChanged
			if of == "file" {
				want = ErrChangedByHand
			}
			if !errors.Is(err, want) {
				t.Errorf("got %v", err)
			}
			if b, _ := os.ReadFile(path); string(b) != "mine\n" {
				t.Errorf("it is lost: %q", b)
			}
			if of == "file" && s.templateText(t) != before {
				t.Errorf("the template is %q", s.templateText(t))
			}
			if j, err := tr.loadJournal(); err != nil || j.Pending != nil {
				t.Errorf("left pending: %+v, %v", j.Pending, err)
			}
			wantOnly(t, s, "haproxy.cfg", "haproxy.cfg.tmpl", "kept", "running")
		})
	}
}

// Who edits the file while a reload fails keeps what they wrote.
func TestEditedDuringAReloadThatFails(t *testing.T) {
	s := newSite(t)
	s.timeout = time.Second
	tr := s.open(t)
	mustRun(t, tr, Request{Data: web(10)})
	s.how = "refuses"
	o := s.options()
	tr, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	tr.reached = func(at string) {
		if at == "about to put back" {
			s.put(t, s.file(), "mine\n")
		}
	}
	if _, err := tr.Run(t.Context(), Request{Data: web(20)}); !errors.Is(err, ErrChangedByHand) {
		t.Errorf("got %v", err)
	}
	if s.onDisk(t) != "mine\n" {
		t.Errorf("it is lost: %q", s.onDisk(t))
	}
	if _, _, err := tr.Recover(t.Context()); !errors.Is(err, ErrChangedByHand) || s.onDisk(t) != "mine\n" {
		t.Errorf("%v, %q", err, s.onDisk(t))
	}
}
