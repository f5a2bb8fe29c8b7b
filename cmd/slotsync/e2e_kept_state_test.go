package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// An oldState is what commit e99efbf reads of a state, by the names that it reads it by.
type oldState struct {
	Version  int `json:"version"`
	Backends []struct {
		Name      string            `json:"name"`
		Endpoints []oldAddr         `json:"endpoints"`
		Slots     map[string]string `json:"slots"`
		Baseline  []struct {
			N int `json:"n"`
		} `json:"baseline"`
		Hold *struct {
			Kind    string        `json:"kind"`
			Elapsed time.Duration `json:"elapsed"`
		} `json:"hold"`
		Feeds []struct {
			Name      string    `json:"name"`
			Source    string    `json:"source"`
			Endpoints []oldAddr `json:"endpoints"`
			Listed    []oldAddr `json:"listed"`
		} `json:"feeds"`
	} `json:"backends"`
	Instances []struct {
		Name      string                        `json:"name"`
		Externals map[string]map[string]oldAddr `json:"externals"`
	} `json:"instances"`
	Overrides []map[string]any `json:"overrides"`
	Pauses    []map[string]any `json:"pauses"`
}

type oldAddr struct {
	Addr string `json:"addr"`
}

func decodeOld(t *testing.T, text []byte) (s oldState) {
	t.Helper()
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	for _, o := range s.Overrides {
		delete(o, "listed") // goes on
	}
	return s
}

// oldDigest is how commit e99efbf calls what the file source at path lists.
func oldDigest(path string) string {
	source, _ := json.Marshal([]any{"file", path})
	service, _ := json.Marshal([]any{""})
	feed, _ := json.Marshal([]any{string(source), string(service)})
	sum := sha256.Sum256(feed)
	return hex.EncodeToString(sum[:8])
}

// keptState is what that commit has kept, as if it had been stopped a moment ago, and
// had read the file at path.
func keptState(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/state-e99efbf/state.json")
	if err != nil {
		t.Fatal(err)
	}
	const kept = "/tmp/unit/gen/endpoints.json"
	if !bytes.Contains(text, []byte(oldDigest(kept))) {
		t.Fatal("the kept state is not of " + kept)
	}
	text = bytes.ReplaceAll(text, []byte(oldDigest(kept)), []byte(oldDigest(path)))
	stopped := time.Date(2026, 11, 29, 11, 59, 9, 0, time.UTC)
	later := time.Since(stopped)
	return regexp.MustCompile(`"2026-1[12]-[^"]+"`).ReplaceAllFunc(text, func(quoted []byte) []byte {
		at, err := time.Parse(`"`+time.RFC3339Nano+`"`, string(quoted))
		if err != nil {
			t.Fatal(err)
		}
		return []byte(at.Add(later).UTC().Format(`"` + time.RFC3339Nano + `"`))
	})
}

// TestKeptState starts on the state of an earlier release, goes on with all that is in it,
// and leaves one in which that release finds the same.
func TestKeptState(t *testing.T) {
	t.Parallel()
	p := haproxytest.Start(t, haproxytest.Config{Version: "2.6", Backends: []haproxytest.Backend{{Name: "web"}, {Name: "api", Slots: 4}}})
	dir := t.TempDir()
	path := filepath.Join(dir, "endpoints.json")
	state := filepath.Join(dir, "state")
	kept := keptState(t, path)
	for name, text := range map[string]string{
		path: `[{"targets": ["127.9.0.1:80"]}]`,
		filepath.Join(dir, "slotsync.yaml"): fmt.Sprintf(`haproxy:
  instances: [{name: edge, socket: %s}]
sources:
  - {name: files, type: file, path: %s}
guard: {removal_hold: 1h}
backends:
  - {name: web, source: files}
  - {name: api, endpoints: ["127.9.1.1:80"]}
http: {listen: "", socket: %s/api.sock}
state_dir: %s
`, p.Socket, path, dir, state),
		filepath.Join(state, "state.json"): string(kept),
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan int, 1)
	var log bytes.Buffer
	flags := []string{"--config", filepath.Join(dir, "slotsync.yaml")}
	go func() { ended <- run(ctx, append([]string{"run"}, flags...), &log, &log, config.Environment{}) }()
	var s api.Status
	eventually(t, 20*time.Second, func() string {
		var out, errs strings.Builder
		if code := run(ctx, append([]string{"status", "-o", "json"}, flags...), &out, &errs, config.Environment{}); code != 0 {
			return fmt.Sprintf("exit %d: %s", code, errs.String())
		}
		s = api.Status{}
		if err := json.Unmarshal([]byte(out.String()), &s); err != nil {
			return err.Error()
		}
		if !s.Ready || s.Backends[0].Phase != "live" || !isWritten(s.Backends[0]) {
			return out.String()
		}
		return ""
	})
	checkTaken(t, s)
	stop()
	if code := <-ended; code != 0 {
		t.Fatalf("it ends with %d\n%s", code, &log)
	}
	text, err := os.ReadFile(filepath.Join(state, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	checkGivenBack(t, decodeOld(t, kept), decodeOld(t, text))
}

// isWritten reports whether the only HAProxy has every endpoint in its slot.
func isWritten(b api.BackendStatus) bool {
	for _, slot := range b.Slots {
		if slot.Endpoint != "" && (len(slot.Instances) != 1 || slot.Instances[0].Address != slot.Endpoint) {
			return false
		}
	}
	return true
}

// checkTaken: everything that was kept is in force.
func checkTaken(t *testing.T, s api.Status) {
	t.Helper()
	got := map[string]string{}
	for _, b := range s.Backends {
		for _, slot := range b.Slots {
			if slot.Endpoint != "" {
				got[slot.Name] = strings.TrimSpace(slot.Endpoint + " " + slot.State + " " + slot.Title)
			}
		}
	}
	want := map[string]string{
		"web1": "127.9.0.5:80 ready", "web2": "127.9.0.3:80 ready", "web3": "127.9.0.1:80 drain", "web4": "127.9.0.2:80 ready",
		"web5": "127.9.0.4:80 down", "web6": "127.9.0.6:80 ready", "web7": "127.9.0.9:80 ready spare", "api1": "127.9.1.1:80 down",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("slots (-want +got):\n%s", diff)
	}
	if held := s.Backends[0].Slots[0].Instances[0].HeldBy; held != "external" {
		t.Errorf("web1, which somebody took out by hand, is held by %q", held)
	}
	var overrides []string
	for _, o := range s.Overrides {
		overrides = append(overrides, strings.TrimSpace(strings.Join([]string{o.Backend, o.Address, o.Kind, o.State, o.Weight, o.By, o.Reason}, " ")))
		if (o.Until != nil) != (o.Reason == "disk") {
			t.Errorf("%s ends at %v", o.Address, o.Until)
		}
	}
	wantOverrides := []string{
		"127.9.1.1 state maint  root rack", "web 127.9.0.1:80 state drain  root kernel update", "web 127.9.0.2:80 weight  20% root",
		"web 127.9.0.4:80 state maint  root disk", "web 127.9.0.9:80 server   root",
	}
	if diff := cmp.Diff(wantOverrides, overrides); diff != "" {
		t.Errorf("overrides (-want +got):\n%s", diff)
	}
	if len(s.Pauses) != 1 || s.Pauses[0].Backend != "api" || s.Pauses[0].Reason != "looking" || time.Until(s.Pauses[0].Until) < 29*24*time.Hour {
		t.Errorf("pauses %+v", s.Pauses)
	}
	h := s.Backends[0].Hold
	if h == nil || h.Kind != "removal" || len(h.WouldRemove) != 5 {
		t.Fatalf("hold %+v", h)
	}
	// it goes on where it was: 4 s of the hour are over
	if left := h.ReleasesAt.Sub(s.At); left > time.Hour-3*time.Second || left < 50*time.Minute {
		t.Errorf("the hold ends in %s", left)
	}
}

// checkGivenBack: what is kept now is what was kept then, as far as it was known then.
func checkGivenBack(t *testing.T, before, after oldState) {
	t.Helper()
	for _, s := range []*oldState{&before, &after} {
		for i := range s.Backends {
			if h := s.Backends[i].Hold; h != nil {
				if h.Elapsed < 3*time.Second {
					t.Errorf("the hold is begun anew: %s", h.Elapsed)
				}
				h.Elapsed = 0
			}
			s.Backends[i].Baseline = s.Backends[i].Baseline[len(s.Backends[i].Baseline)-1:] // the largest set
		}
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("what the earlier release reads (-before +after):\n%s", diff)
	}
}
