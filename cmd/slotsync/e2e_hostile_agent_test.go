package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
)

// obeyed is what a terminal obeys: clear it, write its title, and the same in one
// character each (ECMA-48, 8.3: CSI, OSC, ST), besides a cell and a line that end early.
const obeyed = "x\x1b[2J\x1b]0;taken\x07\u009b2J\u009d0;taken\u009c\r\b\x7f\u202e\ty"

// fill puts text into every text of v, and one of everything into its lists.
func fill(v reflect.Value, text string, depth int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text, depth)
	case reflect.Slice:
		if depth > 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			fill(v.Index(0), text, depth-1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), text, depth)
			}
		}
	}
}

// saying is a T with text in all of its texts.
func saying[T any](text string) (v T) {
	fill(reflect.ValueOf(&v).Elem(), text, 6)
	return v
}

// startTalker serves an agent that says text, wherever it says anything.
func startTalker(t *testing.T, text string) (url string) {
	t.Helper()
	status := saying[agent.Status](text)
	status.Ready = false
	status.Instances[0].Up = false
	dump := agent.Dump{}
	dump.Add("pxname", text, text, text, "svname", text, "be_name", text, "srv_name", text, "id", text)
	answers := map[string]any{
		"/v1/status": status, "/v1/sync": status, "/v1/addresses": []any{map[string]any{"servers": []any{map[string]any{"backend": text, "endpoint": text, "slot": text,
			"state": text, "name": text, "override": text}}}},
		"/v1/backends/web/explain": saying[agent.Explanation](text), "/v1/pause": saying[agent.Pause](text), "/v1/backends/web/servers/web1/state": saying[agent.ServerRef](text),
		"/v1/haproxy/reload":          map[string]any{"needed": true, "needs": map[string]any{text: saying[agent.NeedReload](text)}},
		"/v1/haproxy/config/versions": []any{saying[agent.ConfigVersion](text)}, "/v1/haproxy/config/sections": []any{saying[agent.ConfigSection](text)},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var v any = dump
		if a, ok := answers[r.URL.Path]; ok {
			v = a
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// checkObeyed wants nothing in a text that a terminal obeys, but that its lines end.
func checkObeyed(t *testing.T, what, text string) {
	t.Helper()
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == '\u202e' }); i >= 0 {
		t.Errorf("%s: a terminal would obey %q", what, text[max(0, i-60):min(len(text), i+60)])
	}
	if !strings.Contains(text, "2J") {
		t.Errorf("%s shows nothing of it:\n%s", what, text)
	}
}

// TestNothingIsObeyedByATerminal has an agent say what a terminal would obey, wherever it
// says anything, and every command show it.
func TestNothingIsObeyedByATerminal(t *testing.T) {
	url := startTalker(t, obeyed)
	for _, line := range []string{
		"status", "status --all", "server list", "explain web", "haproxy info", "haproxy stat --columns all", "haproxy sess --columns all", "haproxy servers --columns all",
		"haproxy reload --needed", "haproxy config history", "haproxy config section list", "sync", "pause", "server drain web/web1",
	} {
		for _, form := range []string{"text", "json"} {
			args := append(strings.Fields(line), "--agent", url, "-o", form)
			if line == "haproxy config section list" || line == "haproxy config history" {
				args = append(args, "--name", "x")
			}
			var out bytes.Buffer
			run(t.Context(), args, &out, &out, config.Environment{})
			checkObeyed(t, fmt.Sprint(line, " ", form), out.String())
			if form == "json" {
				checkSameText(t, line, out.Bytes())
			}
		}
	}
}

// checkSameText wants JSON in which the text is what it was.
func checkSameText(t *testing.T, what string, text []byte) {
	t.Helper()
	var v any
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&v); err != nil {
		t.Fatalf("%s: %v in %s", what, err, text)
	}
	if !strings.Contains(fmt.Sprint(v), obeyed) {
		t.Errorf("%s: the text is another one in %s", what, text)
	}
}

// TestNoCellPushesTheOthersAway has an agent say long texts wherever it says anything:
// in a table only the last cell of a line may be long, and JSON has all of it.
func TestNoCellPushesTheOthersAway(t *testing.T) {
	long := strings.Repeat("x", 400)
	url := startTalker(t, long)
	for _, line := range []string{
		"status", "status --all", "server list", "explain web", "haproxy info", "haproxy stat --columns all", "haproxy sess --columns all", "haproxy servers --columns all",
		"haproxy config history", "haproxy config section list",
	} {
		args := append(strings.Fields(line), "--agent", url)
		var table, whole bytes.Buffer
		run(t.Context(), args, &table, io.Discard, config.Environment{})
		for row := range strings.Lines(table.String()) {
			cells := regexp.MustCompile("  +").Split(strings.TrimSpace(row), -1)
			for _, cell := range cells[:len(cells)-1] {
				if n := utf8.RuneCountInString(strings.TrimSuffix(cell, " says")); n > 60+1 {
					t.Errorf("%s: a cell of %d runes in %q", line, n, row)
				}
			}
		}
		if !strings.Contains(table.String(), "x…  ") {
			t.Errorf("%s: nothing is cut:\n%s", line, table.String())
		}
		if run(t.Context(), append(args, "-o", "json"), &whole, io.Discard, config.Environment{}); !strings.Contains(whole.String(), long) {
			t.Errorf("%s: JSON is cut too:\n%s", line, whole.String())
		}
	}
}
