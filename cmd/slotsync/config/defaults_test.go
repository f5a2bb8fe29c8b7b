package config

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/discovery"
)

const defaulted = `haproxy: {instances: [{name: a, socket: /a}, {name: b, socket: /b}]}
sources: [{name: c, type: consul}, {name: d, type: dns}, {name: n, type: nomad}]
backends:
  - {name: plain, service: plain}
  - {name: own, service: own, tags: [x], leave: maint, instances: [b], guard: {window: 1m}, slots: o}
  - {name: names, source: d, record: a.b, port: 80}
  - {name: jobs, source: n, service: jobs}
  - {name: fixed, endpoints: ["10.0.0.1:80"]}
  - name: many
    from: [{source: c, service: many}, {source: d, record: a.b, port: 80}, {source: c, name: c2, service: more, health: any}]
`

func TestDefaults(t *testing.T) {
	cfg, err := parse(defaulted+`defaults: {slots: s, instances: [a], source: c, tags: [t, u], health: passing, leave: drain, drain: 1d, family: v4,
  guard: {window: 2m, empty_hold: never}}
guard: {empty_hold: 1m, min_endpoints: 2}
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]Backend{}
	for _, b := range cfg.Backends {
		by[b.Name] = b
	}
	plain, own := by["plain"], by["own"]
	if plain.Prefix != "s" || plain.Instances[0] != "a" || !plain.DrainFirst || plain.Drain != 24*time.Hour || plain.Policy.Family != discovery.OnlyV4 ||
		plain.Guard.Window != 2*time.Minute || plain.Guard.EmptyHold != guard.Never || plain.Guard.MinEndpoints != 2 {
		t.Errorf("%+v", plain)
	}
	if q := plain.Feeds[0].Consul; q.Health != "passing" || !cmp.Equal(q.Tags, []string{"t", "u"}) {
		t.Errorf("%+v", q)
	}
	if own.Prefix != "o" || own.Instances[0] != "b" || own.DrainFirst || own.Guard.Window != time.Minute || own.Guard.EmptyHold != guard.Never {
		t.Errorf("%+v", own)
	}
	if q := own.Feeds[0].Consul; q.Health != "passing" || !cmp.Equal(q.Tags, []string{"x"}) {
		t.Errorf("%+v", q)
	}
	if q := by["jobs"].Feeds[0].Nomad; !cmp.Equal(q.Tags, []string{"t", "u"}) {
		t.Errorf("%+v", q)
	}
	if f := by["fixed"].Feeds; len(f) != 1 || len(f[0].Endpoints) != 1 {
		t.Errorf("%+v", f)
	}
	if f := by["many"].Feeds; f[0].Consul.Health != "passing" || f[2].Consul.Health != "any" || len(f[2].Consul.Tags) != 2 {
		t.Errorf("%+v", f)
	}
	if len(cfg.Warnings.Lines()) > 0 {
		t.Error(cfg.Warnings)
	}
}

// Defaults are what each backend would have said: nothing else of it changes.
func TestDefaultsAreAsIfEachBackendHadSaidThem(t *testing.T) {
	const short = "haproxy: {instances: [{name: a, socket: /a}]}\nsources: [{name: c, type: consul}]\n"
	with, err := parse(short+"backends: [{name: x, service: x}]\ndefaults: {source: c, tags: [t], dynamic: true, dynamic_options: check, guard: {max_removal: 20%}}\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	without, err := parse(short+"backends: [{name: x, service: x, source: c, tags: [t], dynamic: true, dynamic_options: check, guard: {max_removal: 20%}}]\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := sameConfig(with, without); diff != "" {
		t.Error(diff)
	}
	_, s := settingsOf(t, short+"backends: [{name: x, service: x}]\ndefaults: {source: c, tags: [t], drain: 5s}\n", Environment{"SLOTSYNC_DEFAULTS_LEAVE": "drain"})
	for path, want := range map[string]string{"backends[0].source": "slotsync.yaml:4", "backends[0].drain": "slotsync.yaml:4", "backends[0].leave": "environment SLOTSYNC_DEFAULTS_LEAVE"} {
		if got := s.origins(s.list())[path]; got != want {
			t.Errorf("%s is of %s, not %s", path, got, want)
		}
	}
	again, _ := settingsOf(t, s.YAML(false), nil)
	if again.Backends[0].Drain != 5*time.Second || !again.Backends[0].DrainFirst {
		t.Errorf("%+v", again.Backends[0])
	}
}

// What is wrong with a default is said once, where it is, and so is what nobody takes.
func TestFaultsOfDefaults(t *testing.T) {
	_, err := parse(defaulted+"defaults: {source: c, health: good, drain: 5, allow: [10.0.0.1/8], name: x, guard: {max_removal: 30}}\n", nil)
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatal(err)
	}
	want := []string{
		`slotsync.yaml:11:31: defaults.health: "good" is none of warning, passing, any`,
		`slotsync.yaml:11:44: defaults.drain: 5 has no unit: write "5s"`,
		`slotsync.yaml:11:55: defaults.allow[0]: 10.0.0.1/8 has bits beyond its length; did you mean "10.0.0.0/8"?`,
		`slotsync.yaml:11:68: defaults: unknown key "name"`,
		`slotsync.yaml:11:98: defaults.guard.max_removal: 30 has no unit: write "30%"`,
	}
	if diff := cmp.Diff(want, e.Lines()); diff != "" {
		t.Error(diff)
	}
	cfg, err := parse(minimal+"defaults: {source: c, health: passing, leave: drain}\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	want = []string{
		"slotsync.yaml:3:20: defaults.source: has no effect since every backend says otherwise, or has no use for it",
		"slotsync.yaml:3:31: defaults.health: has no effect since every backend says otherwise, or has no use for it",
	}
	if diff := cmp.Diff(want, cfg.Warnings.Lines()); diff != "" {
		t.Error(diff)
	}
}
