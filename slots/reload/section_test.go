package reload

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

const sectioned = `# the head
global
  stats socket /run/haproxy/admin.sock

defaults # for all
  mode http
# what the world sees
frontend www
  bind :80
  default_backend "web"

backend web
  server a 10.0.0.1:80
  # of the server

# spare
backend spare from base
  server b 10.0.0.2:80`

func TestSections(t *testing.T) {
	var got []string
	for _, s := range sections([]byte(sectioned)) {
		got = append(got, s.String())
	}
	if want := []string{"global", "defaults", "frontend www", "backend web", "backend spare"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSectionIsWhole(t *testing.T) {
	for name, want := range map[string]string{
		"web":   "backend web\n  server a 10.0.0.1:80\n",
		"spare": "backend spare from base\n  server b 10.0.0.2:80",
	} {
		s, err := findSection([]byte(sectioned), "backend", name)
		if got := sectioned[s.from:s.to]; err != nil || got != want {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestSetSection(t *testing.T) {
	for _, c := range []struct{ name, typ, section, body, want string }{
		{"replaced", "backend", "web", "backend web\n  balance source\n\n",
			strings.Replace(sectioned, "  server a 10.0.0.1:80\n", "  balance source\n", 1)},
		{"without a name", "defaults", "", "defaults\n  mode tcp", strings.Replace(sectioned, "defaults # for all\n  mode http\n", "defaults\n  mode tcp\n", 1)},
		{"its comments stand there", "backend", "spare", "# spare\nbackend spare\n", strings.Replace(sectioned, "backend spare from base\n  server b 10.0.0.2:80", "backend spare\n", 1)},
		{"the last one", "backend", "spare", "# new\nbackend spare\n", strings.Replace(sectioned, "backend spare from base\n  server b 10.0.0.2:80", "# new\nbackend spare\n", 1)},
		{"added", "backend", "new", "backend new\n", sectioned + "\nbackend new\n"},
		{"ends with blanks", "backend", "new", "backend new\n  mode tcp \t\n \n", sectioned + "\nbackend new\n  mode tcp \t\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := setSection([]byte(sectioned), []byte(c.body), c.typ, c.section)
			if err != nil || string(got) != c.want {
				t.Errorf("got %v\n%s", err, unified("want", "got", c.want, string(got)))
			}
		})
	}
}

func TestSetSectionRefuses(t *testing.T) {
	for name, c := range map[string]struct{ typ, section, body string }{
		"another name":     {"backend", "web", "backend other\n"},
		"another type":     {"backend", "web", "frontend web\n"},
		"two sections":     {"backend", "web", "backend web\nglobal\n  user root\n"},
		"none":             {"backend", "web", "  server a 10.0.0.1:80\n"},
		"before the first": {"backend", "web", "mode tcp\nbackend web\n"},
		"a directive":      {"backend", "web", ".if defined(X)\nbackend web\n"},
		"no such type":     {"bakend", "web", "bakend web\n"},
		"a NUL byte":       {"backend", "web", "backend web\n\x00"},
		"a name of lines":  {"backend", "web\nglobal", "backend web\nglobal\n"},
	} {
		if got, err := setSection([]byte(sectioned), []byte(c.body), c.typ, c.section); !errors.Is(err, slots.ErrBadSection) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	if _, err := setSection([]byte("defaults\ndefaults\n"), []byte("defaults\n"), "defaults", ""); err == nil || !strings.Contains(err.Error(), "lines 1, 2") {
		t.Errorf("two of a name: %v", err)
	}
}

func TestDeleteSection(t *testing.T) {
	got, err := deleteSection([]byte(sectioned), "frontend", "www")
	want := strings.Replace(sectioned, "frontend www\n  bind :80\n  default_backend \"web\"\n", "", 1)
	if err != nil || string(got) != want {
		t.Errorf("got %v\n%s", err, unified("want", "got", want, string(got)))
	}
	if _, err := deleteSection(got, "frontend", "www"); !errors.Is(err, slots.ErrNoSection) {
		t.Errorf("got %v", err)
	}
}

// TestSectionProperties: putting in place what is there changes nothing, and what
// was put in place is found again, whatever the rest is.
func TestSectionProperties(t *testing.T) {
	line := rapid.SampledFrom([]string{"", "# c", "  server a", "  server b \t", "  server c\r", "\tbind :1", "backend web", "backend x", "global", "defaults", "{{range .}}", "{{end}}", "  # x"})
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(strings.Join(rapid.SliceOfN(line, 0, 12).Draw(t, "lines"), "\n") + "\n")
		s, err := findSection(text, "backend", "web")
		if err == nil {
			same, err := setSection(text, text[s.from:s.to], "backend", "web")
			if err != nil || !bytes.Equal(same, text) {
				t.Fatalf("%q became %q, %v", text, same, err)
			}
		} else if errors.Is(err, slots.ErrBadSection) {
			return
		}
		body := []byte("backend web\n  balance source\n")
		set, err := setSection(text, body, "backend", "web")
		if err != nil {
			t.Fatal(err)
		}
		found, err := findSection(set, "backend", "web")
		if err != nil || !bytes.Equal(set[found.from:found.to], body) {
			t.Fatalf("%q: found %q, %v", set, set[found.from:found.to], err)
		}
		around := rapid.SampledFrom([]string{"", "# c\n", "\n# c\n# d\n", "\n"})
		body = []byte(around.Draw(t, "before") + "backend web\n  balance source\n" + around.Draw(t, "after"))
		given := bytes.Clone(body)
		once, err := setSection(text, body, "backend", "web")
		if err != nil {
			t.Fatal(err)
		}
		twice, err := setSection(once, body, "backend", "web")
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%q became %q, and again %q, %v", text, once, twice, err)
		}
		if !bytes.Equal(body, given) {
			t.Fatalf("the body became %q, it was %q", body, given)
		}
	})
}

func FuzzSections(f *testing.F) {
	f.Add([]byte(sectioned))
	f.Add([]byte("backend \"a b\"\r\n\x00\xff\n global"))
	f.Fuzz(func(t *testing.T, text []byte) {
		at := 0
		for _, s := range sections(text) {
			if s.from < at || s.to < s.from || s.to > len(text) {
				t.Fatalf("%+v begins before %d", s, at)
			}
			at = s.to
		}
	})
}

// TestHealthcheckSections: what HAProxy 3.4 takes for a section is one here.
func TestHealthcheckSections(t *testing.T) {
	const text = "defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n" +
		"backend web\n  server a 127.0.0.1:1 check healthcheck hc\nhealthcheck hc\n  type httpchk\nfrontend in\n  bind 127.0.0.1:1\n  default_backend web\n"
	s := newSite(t)
	s.put(t, s.template(), text)
	o := s.options()
	o.Check = []string{haproxytest.Binary(t, "3.4"), "-c", "-f", fileMark}
	tr, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if words, err := tr.Check(t.Context(), web(1)); err != nil {
		t.Fatalf("%v\n%s", err, words)
	}
	got, err := findSection([]byte(text), "healthcheck", "hc")
	if err != nil || text[got.from:got.to] != "healthcheck hc\n  type httpchk\n" {
		t.Errorf("got %+v, %v", got, err)
	}
}
