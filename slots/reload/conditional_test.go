package reload

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// TestDeleteBeforeEndif: what switches a section off stays where it is when the
// section before it, or in it, goes.
func TestDeleteBeforeEndif(t *testing.T) {
	const text = "backend web\n  server a 10.0.0.1:80\n.if defined(TWO)\nbackend two\n  server b 10.0.0.2:80\n.endif\nbackend three\n"
	for name, want := range map[string]string{
		"web":   ".if defined(TWO)\nbackend two\n  server b 10.0.0.2:80\n.endif\nbackend three\n",
		"two":   "backend web\n  server a 10.0.0.1:80\n.if defined(TWO)\n.endif\nbackend three\n",
		"three": "backend web\n  server a 10.0.0.1:80\n.if defined(TWO)\nbackend two\n  server b 10.0.0.2:80\n.endif\n",
	} {
		got, err := deleteSection([]byte(text), "backend", name)
		if err != nil || string(got) != want {
			t.Errorf("%s: %v\n%s", name, err, unified("want", "got", want, string(got)))
		}
	}
	const within = "backend web\n  .if defined(A)\n  server a 10.0.0.1:80\n  .else\n  # none\n  .endif\n\nbackend two\n"
	if got, err := deleteSection([]byte(within), "backend", "web"); err != nil || string(got) != "\nbackend two\n" {
		t.Errorf("a block of its own: got %q, %v", got, err)
	}
	put, err := setSection([]byte(text), []byte("backend two\n  server c 10.0.0.3:80\n"), "backend", "two")
	if want := strings.Replace(text, "server b 10.0.0.2:80", "server c 10.0.0.3:80", 1); err != nil || string(put) != want {
		t.Errorf("set: got %q, %v", put, err)
	}
}

// TestUnclearSections: a section whose lines may be another's is neither deleted,
// replaced nor shown; the error says which line it is.
func TestUnclearSections(t *testing.T) {
	for _, c := range []struct{ name, text, section, says string }{
		{"lines after the block", "backend web\n.if defined(X)\nbackend two\n.endif\n  server a :1\n", "web", "line 5 "},
		{"and the one in it", "backend web\n.if defined(X)\nbackend two\n.endif\n  server a :1\n", "two", "line 5 "},
		{"lines before the other one", "backend web\n.if defined(X)\n  server a :1\nbackend two\n.endif\n", "web", "line 2 "},
		{"another branch", "backend web\n.if defined(X)\nbackend two\n.else\n  server a :1\n.endif\n", "web", "line 5 "},
		{"outside of its block", ".if defined(X)\nbackend web\n.endif\n  server a :1\n", "web", "line 4 "},
		{"in both branches", ".if defined(X)\nbackend web\n.else\nbackend web\n.endif\n  server a :1\n", "web", "2 times"},
		{"not closed", "backend web\n.if defined(X)\n  server a :1\n", "web", "line 2 has no .endif"},
		{"not opened", "backend web\n.endif\n", "web", "line 2 has no .if"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := deleteSection([]byte(c.text), "backend", c.section)
			if !errors.Is(err, slots.ErrBadSection) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("delete: got %v", err)
			}
			if _, err := setSection([]byte(c.text), []byte("backend "+c.section+"\n"), "backend", c.section); !errors.Is(err, slots.ErrBadSection) {
				t.Errorf("set: got %v", err)
			}
		})
	}
	for _, body := range []string{"backend new\n.endif\n", "backend new\n.if defined(X)\n", "backend new\n.else\n  server a :1\n"} {
		if got, err := setSection([]byte(sectioned), []byte(body), "backend", "new"); !errors.Is(err, slots.ErrBadSection) {
			t.Errorf("%q: got %q, %v", body, got, err)
		}
	}
	if got, err := setSection([]byte("global\n.if defined(X)\n"), []byte("backend new\n"), "backend", "new"); !errors.Is(err, slots.ErrBadSection) {
		t.Errorf("behind an open block: got %q, %v", got, err)
	}
}

// evaluated is what HAProxy makes of text: the lines of each section in order, where
// the condition "defined(X)" holds if on has X.
func evaluated(text []byte, on string) []string {
	type level struct{ taken, active bool }
	var out []string
	levels := []level{{true, true}}
	for raw := range strings.Lines(string(text)) {
		words := strings.Fields(raw)
		top := &levels[len(levels)-1]
		switch {
		case len(words) == 0 || words[0][0] == '#':
		case words[0] == ".if":
			holds := strings.Contains(on, words[1])
			levels = append(levels, level{holds || !top.active, top.active && holds})
		case words[0] == ".elif":
			holds := !top.taken && strings.Contains(on, words[1])
			top.active, top.taken = holds, top.taken || holds
		case words[0] == ".else":
			top.active, top.taken = !top.taken, true
		case words[0] == ".endif":
			levels = levels[:len(levels)-1]
		case !top.active:
		case slices.Contains(SectionTypes(), words[0]):
			out = append(out, strings.Join(words, " "))
		case len(out) > 0:
			out[len(out)-1] += "\n" + strings.Join(words, " ")
		}
	}
	return out
}

// TestConditionalProperties: whatever holds, deleting a section takes away exactly it,
// and replacing it puts the new one in its place.
func TestConditionalProperties(t *testing.T) {
	line := rapid.SampledFrom([]string{"", "# c", "  server a", "  server b", "backend web", "backend two", "backend three", "global",
		".if X", ".if Y", ".if Z", ".elif Y", ".else", ".endif", ".endif", ".endif"})
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(wellFormed(rapid.SliceOfN(line, 0, 14).Draw(t, "lines")))
		gone, err := deleteSection(text, "backend", "web")
		if err != nil {
			return
		}
		const put = "backend web\n  balance source\n"
		set, err := setSection(text, []byte(put), "backend", "web")
		if err != nil {
			t.Fatal(err)
		}
		for _, on := range []string{"", "X", "Y", "Z", "XY", "XZ", "YZ", "XYZ"} {
			var without, with []string
			for _, s := range evaluated(text, on) {
				if name, _, _ := strings.Cut(s, "\n"); name != "backend web" {
					without, with = append(without, s), append(with, s)
				} else {
					with = append(with, "backend web\nbalance source")
				}
			}
			if d := cmp.Diff(without, evaluated(gone, on)); d != "" {
				t.Fatalf("with %q of\n%sdeleted:\n%s%s", on, text, gone, d)
			}
			if d := cmp.Diff(with, evaluated(set, on)); d != "" {
				t.Fatalf("with %q of\n%sset:\n%s%s", on, text, set, d)
			}
		}
	})
}

// wellFormed leaves out the directives that have no .if, and closes those that are open.
func wellFormed(list []string) string {
	var out strings.Builder
	var otherwise []bool
	for _, l := range list {
		switch {
		case strings.HasPrefix(l, ".if"):
			otherwise = append(otherwise, false)
		case strings.HasPrefix(l, "."):
			n := len(otherwise)
			if n == 0 || l != ".endif" && otherwise[n-1] {
				continue
			}
			if l == ".endif" {
				otherwise = otherwise[:n-1]
			}
			if l == ".else" {
				otherwise[n-1] = true
			}
		}
		fmt.Fprintln(&out, l)
	}
	return out.String() + strings.Repeat(".endif\n", len(otherwise))
}

// TestConditionalSectionsOnHAProxy: a backend that is switched off stays off when the
// one before it is deleted.
func TestConditionalSectionsOnHAProxy(t *testing.T) {
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			const text = "global\n  stats socket {socket} level admin\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n" +
				"  timeout server 1s\n.if defined(SURELY_NOT)\nbackend dark\n  server a 127.0.0.1:1\nbackend web\n  server b 127.0.0.1:1\n" +
				".endif\nbackend lit\n  server c 127.0.0.1:1\n"
			p := haproxytest.Start(t, haproxytest.Config{Version: version, Text: text})
			written, err := os.ReadFile(p.File())
			if err != nil {
				t.Fatal(err)
			}
			without, err := deleteSection(written, "backend", "web")
			if err != nil {
				t.Fatal(err)
			}
			p.Config.Text = string(without)
			p.Restart()
			if said := haproxytest.Ask(t, p.Socket, "show backend"); strings.Contains(said, "dark") || !strings.Contains(said, "lit") {
				t.Errorf("got %q", said)
			}
		})
	}
}
