package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/sources"
	"github.com/slotsync/slotsync/agent/web/auth"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul"
	"github.com/slotsync/slotsync/discovery/dns"
	"github.com/slotsync/slotsync/discovery/longpoll"
	"github.com/slotsync/slotsync/discovery/nomad"
	"github.com/slotsync/slotsync/slots/reload"
)

// compiled is the schema as somebody else's validator reads it.
var compiled = sync.OnceValues(func() (*jsonschema.Schema, error) {
	text, err := Schema()
	if err != nil {
		return nil, err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("slotsync.schema.json", document); err != nil {
		return nil, err
	}
	return c.Compile("slotsync.schema.json")
})

// againstSchema says what the schema has against a file.
func againstSchema(t *testing.T, text string) error {
	t.Helper()
	s, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		return err
	}
	asJSON, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if value, err = jsonschema.UnmarshalJSON(bytes.NewReader(asJSON)); err != nil {
		t.Fatal(err)
	}
	return s.Validate(value)
}

// sayable are the faults that need no other key and no knowledge to be seen.
var sayable = regexp.MustCompile(`unknown key|there twice, first in|: wants |missing value|has no unit|is none of|[a-z]: -?[0-9]+ is not within|is not (a duration|a hold|a share|a name|an absolute path|key:value|a tag|a file mode)|is for sources of type|there is no (backend|instance): |(name|type|socket|path|source|primary): is missing`)

// wantSchemaToSee wants the schema to refuse a file with this fault, if it can be said in one.
func wantSchemaToSee(t *testing.T, text, fault string) {
	t.Helper()
	if sayable.MatchString(fault) && againstSchema(t, text) == nil {
		t.Errorf("the schema allows it: %s", fault)
	}
}

// What is a configuration is one for the schema.
func TestSchemaAllowsWhatIsRead(t *testing.T) {
	files, err := filepath.Glob("../../../examples/*/slotsync.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, name := range append(files, "../testdata/reference.yaml") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := againstSchema(t, string(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		const first = "# yaml-language-server: $schema="
		line, _, _ := strings.Cut(string(text), "\n")
		if path, ok := strings.CutPrefix(line, first); !ok {
			t.Errorf("%s does not begin with %s", name, first)
		} else if _, err := os.Stat(filepath.Join(filepath.Dir(name), path)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every tag can be read, and says what the packages say that it is for.
func TestTags(t *testing.T) {
	var walk func(reflect.Type)
	walk = func(mapping reflect.Type) {
		for key, f := range members(mapping) {
			if f.Tag.Get("doc") == "" || key == "" {
				t.Errorf("%s.%s has no key or is not described", mapping, f.Name)
			}
			for _, kind := range append(kinds(), "") {
				if text := fallback(f, kind); text != "" {
					if v, err := read(f.Type, f.Tag, text); err != nil || v == nil || written(reflect.ValueOf(v)) == "" {
						t.Errorf("%s.%s: %q: %v", mapping, f.Name, text, err)
					}
				}
			}
			for _, tag := range []string{"min", "max"} {
				_, number := strconv.Atoi(f.Tag.Get(tag))
				if text := f.Tag.Get(tag); text != "" && text != "0s" && (bound(text) == 0) != (text == "0") || (number == nil) != (f.Type.Kind() == reflect.Int && text != "") {
					t.Errorf("%s.%s: %s %q", mapping, f.Name, tag, text)
				}
			}
			if _, ok := formats[f.Tag.Get("format")]; !ok && f.Tag.Get("format") != "" && f.Type != reflect.TypeFor[time.Duration]() {
				t.Errorf("%s.%s: there is no format %q", mapping, f.Name, f.Tag.Get("format"))
			}
			if ft := f.Type; IsMapping(ft) {
				walk(ft)
			} else if ft.Kind() == reflect.Slice && IsMapping(ft.Elem()) {
				walk(ft.Elem())
			}
		}
	}
	walk(File())
	for mapping, keys := range map[reflect.Type][]string{reflect.TypeFor[failoverKeys](): {"min"}, reflect.TypeFor[guardKeys](): {"min_endpoints"}} {
		for _, key := range keys {
			if f, _ := fieldOf(mapping, key); bound(f.Tag.Get("max")) != discovery.MaxEndpoints {
				t.Errorf("%s: more than a service can have", key)
			}
		}
	}
	f, _ := fieldOf(reflect.TypeFor[HTTP](), "loopback")
	if !reflect.DeepEqual(words(f, "enum"), []string{string(auth.LoopbackRead), string(auth.LoopbackOperate), string(auth.LoopbackNone)}) {
		t.Error("http.loopback has other words")
	}
}

// packageDefaults are what the packages take for nothing, by the mapping and the key that say the same. The others
// are for the configuration alone to say: nil.
func packageDefaults() map[string]any {
	return map[string]any{
		"haproxyKeys.timeout": agent.DefaultTimeout, "haproxyKeys.poll": agent.DefaultPoll, "haproxyKeys.resync": agent.DefaultResync, "haproxyKeys.lock_wait": nil,
		"Reload.keep": reload.DefaultKeep, "Reload.timeout": reload.DefaultTimeout, "Reload.min_interval": nil, "Reload.max_per_hour": nil, "Reload.jitter": nil,
		"sourceKeys.address for consul": consul.DefaultAddress, "sourceKeys.address for nomad": nomad.DefaultAddress, "sourceKeys.namespace for nomad": nil,
		"sourceKeys.consistency": longpoll.Stale, "sourceKeys.max_stale": consul.DefaultMaxStale,
		"sourceKeys.wait": longpoll.DefaultWait, "sourceKeys.poll_interval": longpoll.DefaultPollInterval,
		"sourceKeys.tcp": dns.Auto, "sourceKeys.timeout": dns.DefaultTimeout, "sourceKeys.min_refresh": dns.DefaultMinRefresh, "sourceKeys.max_refresh": dns.DefaultMaxRefresh,
		"sourceKeys.answers": dns.Auto, "sourceKeys.hold_obsolete": dns.DefaultHold,
		"queryKeys.health": nil, "failoverKeys.min": sources.DefaultFailoverMin, "failoverKeys.after": sources.DefaultFailoverAfter, "failoverKeys.back_after": sources.DefaultFailoverBack,
		"ruleKeys.family": discovery.AnyFamily, "ruleKeys.on_all_unhealthy": nil, "ruleKeys.max_slots": agent.DefaultMaxSlots, "ruleKeys.leave": nil, "ruleKeys.drain": agent.DefaultDrain, "ruleKeys.external": nil,
		"guardKeys.empty_hold": guard.DefaultEmptyHold, "guardKeys.removal_hold": guard.DefaultRemovalHold, "guardKeys.max_removal": guard.DefaultMaxRemoval,
		"guardKeys.window": guard.DefaultWindow, "guardKeys.turnover_wait": guard.DefaultTurnover, "guardKeys.min_endpoints": 0,
		"HTTP.listen": nil, "HTTP.socket": nil, "HTTP.socket_mode": nil, "HTTP.loopback": auth.LoopbackRead, "HTTP.max_for": auth.DefaultMaxFor,
		"logKeys.level": nil, "logKeys.format": nil, "rootKeys.state_dir": nil,
	}
}

// Each default that a tag says is that of the package, or is known to be no package's.
func TestDefaultsAreThoseOfThePackages(t *testing.T) {
	want, seen := packageDefaults(), map[string]bool{}
	var walk func(reflect.Type)
	walk = func(mapping reflect.Type) {
		for key, f := range members(mapping) {
			owner := mapping
			if n := len(f.Index); n > 1 {
				owner = mapping.FieldByIndex(f.Index[:n-1]).Type
			}
			for tag, of := range map[string]string{"default": "", "consul": " for consul", "nomad": " for nomad"} {
				name, text := owner.Name()+"."+key+of, f.Tag.Get(tag)
				if text == "" || f.Type.Kind() == reflect.Bool { // what is off is the zero value
					continue
				}
				seen[name] = true
				v, err := read(f.Type, f.Tag, text)
				if value, known := want[name]; err != nil || !known || value != nil && fmt.Sprint(v) != fmt.Sprint(value) {
					t.Errorf("%s: the tag says %v (%v), the package %v (known: %t)", name, v, err, value, known)
				}
			}
			if ft := f.Type; IsMapping(ft) {
				walk(ft)
			} else if ft.Kind() == reflect.Slice && IsMapping(ft.Elem()) {
				walk(ft.Elem())
			}
		}
	}
	walk(File())
	for name := range want {
		if !seen[name] {
			t.Errorf("%s has no default", name)
		}
	}
}
