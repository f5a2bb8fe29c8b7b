package file

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// FuzzSource has a source that knows the endpoints of two files find these bytes in one of
// them. Of that file none is gone unless they are groups, and lack it; of the other one none is
// gone at all.
func FuzzSource(f *testing.F) {
	for _, text := range []string{
		group(1, 2), group(1, 2, 3), group(), "", "- targets:\n  - 10.0.0.1:80\n  - 10.0.", "- labels: {service: api}\n  targets: [\"10.0.0.1:80\"]", "null", "---\n[]\n---\n[]",
		"- targets: [10.0.0.1:80]\n  labels: {service: web, weight: 3, name: a}", "- &a {targets: []}\n- *a", "- targets: [10.0.0.1:80, 10.0.0.1:80, 300.1.1.1:80]",
		`[{"targets":["10.0.0.1:80"],"labels":{"weight":"0","name":"\ud83d\ude00\/"}}]`, `[{"targets":["10.0.0.1:80","10.0.0.2:80"]}]`, `[`, "\xff\xfe[\x00]\x00",
	} {
		f.Add([]byte(text), false)
		f.Add([]byte(text), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, isJSON bool) {
		base := os.TempDir()
		if _, err := os.Stat("/dev/shm"); err == nil {
			base = "/dev/shm" // nothing has to survive
		}
		dir, err := os.MkdirTemp(base, "slotsync-fuzz-")
		do(t, err)
		defer os.RemoveAll(dir)
		synctest.Test(t, func(t *testing.T) { find(t, dir, text, isJSON) })
	})
}

// find has a source find the text where a good file was.
func find(t *testing.T, dir string, text []byte, isJSON bool) {
	name, good := "web.yaml", group(1, 2, 3)
	if isJSON {
		name, good = "web.json", `[{"targets":["10.0.0.1:80","10.0.0.2:80","10.0.0.3:80"]}]`
	}
	write(t, dir, name, good)
	write(t, dir, "other"+filepath.Ext(name), `[{"targets": ["10.0.0.9:80"], "labels": {"service": "web"}}]`)
	of, err := New(Options{Path: filepath.Join(dir, "*"+filepath.Ext(name))})
	do(t, err)
	s := source(t, unwatched(of), "web")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	r, err := s.Next(ctx)
	do(t, err)
	k := discoverytest.Keeper{}
	before := k.Take(r)
	if len(before) != 4 {
		t.Fatalf("before: %v", before)
	}
	write(t, dir, name, string(text))
	listed, isList := naively(text, isJSON)
	hear := func(r discovery.Reading, err error) {
		do(t, err) // the other file can be read
		now := k.Take(r)
		for _, a := range before {
			if !slices.Contains(now, a) && (!isList || slices.Contains(listed, a) || a == "10.0.0.9:80") {
				t.Fatalf("%s is gone: %+v", a, r)
			}
		}
		for _, e := range r.Endpoints() {
			if discovery.Check(e.Addr) != "" || e.Weight < 0 || e.Weight > maxWeight || discovery.Printable(e.Name, 101) != e.Name {
				t.Fatalf("%+v", e)
			}
		}
		if len(now) > discovery.MaxEndpoints {
			t.Fatalf("%d endpoints", len(now))
		}
	}
	for range 3 {
		hear(s.Next(ctx))
	}
	hear(s.Confirm(ctx))
}

// naively reads the targets of web in a file of that name, and whether it has any groups or
// is a list without.
func naively(text []byte, isJSON bool) (listed []string, ok bool) {
	var groups []struct {
		Targets []string          `yaml:"targets"`
		Labels  map[string]string `yaml:"labels"`
	}
	read := yaml.Unmarshal
	if isJSON {
		read = json.Unmarshal
	}
	if read(text, &groups) != nil || groups == nil {
		return nil, false
	}
	for _, g := range groups {
		if service, named := g.Labels["service"]; !named || service == "web" {
			listed = append(listed, g.Targets...)
		}
	}
	return listed, true
}
