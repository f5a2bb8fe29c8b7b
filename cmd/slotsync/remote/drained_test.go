package remote

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
)

// TestNothingIsDrainedBeforeTheAgentRuns: an agent that is started meanwhile has no slots yet, with sessions or without.
func TestNothingIsDrainedBeforeTheAgentRuns(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, `{"schema":1,"not_ready":["the agent is not running"]}`)
	}))
	defer server.Close()
	c, err := client.New(server.URL, client.Access{})
	if err != nil {
		t.Fatal(err)
	}
	left, err := sessionsLeft(t.Context(), c, []api.ServerRef{{Backend: "web", Endpoint: "127.0.0.9:80", Slot: "web1"}}, map[api.ServerRef]bool{})
	if want := "the agent does not answer: the agent is not running"; left != want || err != nil {
		t.Errorf("left: %q, %v, want %q", left, err, want)
	}
}
