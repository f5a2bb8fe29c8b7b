package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt/textfmttest"
)

// startTalker serves an agent that says text, wherever it says anything.
func startTalker(t *testing.T, text string) (url string) {
	t.Helper()
	status := textfmttest.Filled[api.Status](text)
	status.Ready = false
	status.Instances[0].Up = false
	dump := agent.Dump{}
	dump.Add("pxname", text, text, text, "svname", text, "be_name", text, "srv_name", text, "id", text)
	answers := map[string]any{
		"/v1/status": status, "/v1/sync": status, "/v1/addresses": []any{map[string]any{"servers": []any{map[string]any{"backend": text, "endpoint": text, "slot": text,
			"state": text, "name": text, "override": text}}}},
		"/v1/backends/web/explain": textfmttest.Filled[api.Explanation](text), "/v1/pause": textfmttest.Filled[api.Pause](text), "/v1/backends/web/servers/web1/state": textfmttest.Filled[api.ServerRef](text),
		"/v1/haproxy/reload":          map[string]any{"needed": true, "needs": map[string]any{text: textfmttest.Filled[api.NeedReload](text)}},
		"/v1/haproxy/config/versions": []any{textfmttest.Filled[api.ConfigVersion](text)}, "/v1/haproxy/config/sections": []any{textfmttest.Filled[api.ConfigSection](text)},
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

// TestNothingIsObeyedByATerminal has an agent say what a terminal would obey, wherever it
// says anything, and every command show it.
func TestNothingIsObeyedByATerminal(t *testing.T) {
	url := startTalker(t, textfmttest.Obeyed)
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
			textfmttest.CheckObeyed(t, fmt.Sprint(line, " ", form), out.String())
			if form == "json" {
				checkSameText(t, line, out.Bytes())
			}
		}
	}
}

// TestHealthObeysNothing: health has one form.
func TestHealthObeysNothing(t *testing.T) {
	url := startTalker(t, textfmttest.Obeyed)
	for _, line := range []string{"health", "health --strict", "health --live"} {
		var out bytes.Buffer
		run(t.Context(), append(strings.Fields(line), "--agent", url), &out, &out, config.Environment{})
		if out.Len() == 0 || strings.ContainsAny(out.String(), "\x1b\x07\x00") {
			t.Errorf("%s: %q", line, out.String())
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
	if !strings.Contains(fmt.Sprint(v), textfmttest.Obeyed) {
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
