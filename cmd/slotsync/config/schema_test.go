package config

import (
	"bytes"
	"encoding/json"
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
	cfg, err := parse(minimal+"reload: {master: /m}\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	rules := guard.Rules{EmptyHold: guard.DefaultEmptyHold, RemovalHold: guard.DefaultRemovalHold, MaxRemoval: guard.DefaultMaxRemoval,
		Window: guard.DefaultWindow, TurnoverWait: guard.DefaultTurnover}
	b := cfg.Backends[0]
	if b.Guard != rules || b.Drain != agent.DefaultDrain || b.MaxSlots != agent.DefaultMaxSlots || cfg.Timeout != agent.DefaultTimeout ||
		cfg.Poll != agent.DefaultPoll || cfg.Resync != agent.DefaultResync || cfg.HTTP.MaxFor != auth.DefaultMaxFor {
		t.Errorf("the defaults are not those of the packages: %+v", cfg)
	}
	for mapping, keys := range map[reflect.Type][]string{reflect.TypeFor[failoverKeys](): {"min"}, reflect.TypeFor[guardKeys](): {"min_endpoints"}} {
		for _, key := range keys {
			if f, _ := fieldOf(mapping, key); bound(f.Tag.Get("max")) != discovery.MaxEndpoints {
				t.Errorf("%s: more than a service can have", key)
			}
		}
	}
	for tag, want := range map[string]string{"min": strconv.Itoa(sources.DefaultFailoverMin), "after": sources.DefaultFailoverAfter.String(), "back_after": "1m"} {
		if f, _ := fieldOf(reflect.TypeFor[failoverKeys](), tag); f.Tag.Get("default") != want {
			t.Errorf("%s: %s, not %s", tag, f.Tag.Get("default"), want)
		}
	}
	f, _ := fieldOf(reflect.TypeFor[HTTP](), "loopback")
	if !reflect.DeepEqual(words(f, "enum"), auth.Loopbacks()) {
		t.Error("http.loopback has other words")
	}
}
