package reload

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// TestSamples: configurations of the kinds that people have are grown by a reload, in
// their range, and their sections are told apart: each is put back as it is, and what is
// left when it is deleted is what HAProxy takes, but for what refers to it.
func TestSamples(t *testing.T) {
	t.Parallel()
	for _, version := range haproxytest.Versions {
		for _, sample := range haproxytest.Samples(t, version) {
			t.Run(version+"/"+sample.Name, func(t *testing.T) {
				t.Parallel()
				p := haproxytest.Start(t, sample.Config(t, version))
				growSample(t, p, sample)
				text, err := os.ReadFile(p.File())
				if err != nil {
					t.Fatal(err)
				}
				sectionsOfSample(t, haproxytest.Binary(t, version), text)
			})
		}
	}
}

func growSample(t *testing.T, p *haproxytest.Process, sample haproxytest.Sample) {
	t.Helper()
	text, err := os.ReadFile(p.File())
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`server-template (\S+) \S+ \S+ (?:init-addr \S+ )?disabled(.*)`)
	tail := line.FindSubmatch(text)[2]
	c, err := haproxy.New(haproxy.Options{Socket: p.Socket})
	if err != nil {
		t.Fatal(err)
	}
	m, err := haproxy.NewMaster(p.Master, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	o := Options{
		Template: dir + "/tmpl", File: p.File(), Dir: dir + "/kept", Check: []string{haproxytest.Binary(t, p.Config.Version), "-W", "-c", "-f", fileMark},
		Timeout: 10 * time.Second, Reloader: m, Instances: []Instance{client{c}},
	}
	writeTemplate(t, o, string(line.ReplaceAll(text, fmt.Appendf(nil, "{{serverTemplate `web` `%s`}}", bytes.TrimSpace(tail)))))
	tr, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	more := 2 * (sample.Last - sample.First + 1)
	d := Data{Backends: []Backend{{Name: "web", Proxy: "web", Prefix: sample.Prefix, Offset: sample.First - 1, Slots: more}}}
	if _, err := tr.Rehearse(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Run(t.Context(), Request{Data: d, By: "me"}); err != nil {
		t.Fatal(err)
	}
	v, err := c.View(t.Context(), []string{"web"}, false)
	if err != nil {
		t.Fatal(err)
	}
	want := slots.Range{Prefix: sample.Prefix, First: sample.First, Last: sample.First + more - 1}
	if r, err := slots.RangeOf(slots.Own(v.Servers["web"], sample.Prefix), sample.Prefix); r != want || err != nil {
		t.Errorf("grown to %+v, %v; want %+v", r, err, want)
	}
}

func sectionsOfSample(t *testing.T, binary string, text []byte) {
	t.Helper()
	for _, s := range sections(text) {
		found, err := findSection(text, s.Type, s.Name)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		body := text[found.from:found.to]
		if same, err := setSection(text, body, s.Type, s.Name); err != nil || !bytes.Equal(same, text) {
			t.Errorf("%s: put back: %v\n%s", s, err, unified("before", "after", string(text), string(same)))
		}
		rest, err := deleteSection(text, s.Type, s.Name)
		if err != nil {
			t.Errorf("%s: deleted: %v", s, err)
			continue
		}
		if _, err := findSection(rest, s.Type, s.Name); !errors.Is(err, slots.ErrNoSection) {
			t.Errorf("%s is there after it was deleted: %v", s, err)
		}
		if s.Type != "backend" || s.Name == "web" {
			continue // others refer to it
		}
		file := t.TempDir() + "/rest.cfg"
		if err := os.WriteFile(file, rest, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), binary, "-W", "-c", "-f", file).CombinedOutput(); err != nil {
			t.Errorf("without %s: %v\n%s", s, err, out)
		}
		if strings.Count(string(rest), ".if") != strings.Count(string(text), ".if") || strings.Count(string(rest), ".endif") != strings.Count(string(text), ".endif") {
			t.Errorf("without %s the blocks are others:\n%s", s, rest)
		}
	}
}
