package consultest

import (
	"encoding/json"
	"net/http"

	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// selfPath is where an agent tells what it is.
const selfPath = "/v1/agent/self"

// Self answers as an agent of that version, as in 1.8.7 or 1.15.2+ent, tells what
// it is.
func Self(version string) http.HandlerFunc {
	said := map[string]any{"Config": map[string]any{
		"Datacenter": "dc1", "NodeName": "node-1", "Revision": "0e046bbb", "Server": false, "Version": version,
	}, "DebugConfig": map[string]any{"ACLDatacenter": ""}}
	raw, err := json.Marshal(said)
	if err != nil {
		panic(err) // it is made of strings
	}
	return discoverytest.Reply(http.StatusOK, string(raw), "Content-Type", "application/json")
}

// Self makes h answer when the fake is asked what it is; without, it is a newer
// Consul. Those requests are not among [discoverytest.Scripted.Requests] and take nothing of the
// script.
func (f *Fake) Self(h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.self = h
}

// SelfAsked is how often the fake was asked what it is.
func (f *Fake) SelfAsked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.selfAsked
}

func (f *Fake) tellSelf(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.selfAsked++
	h := f.self
	f.mu.Unlock()
	if h == nil {
		h = Self("1.22.0")
	}
	h(w, r)
}
