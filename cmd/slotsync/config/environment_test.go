package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMisspeltVariables(t *testing.T) {
	for name, meant := range map[string]string{
		"SLOTSYNC_HTTP_LISTN":     "SLOTSYNC_HTTP_LISTEN",
		"SLOTSYNC_HTPP_LISTEN":    "SLOTSYNC_HTTP_LISTEN",
		"SLOTSYNC_http_listen":    "SLOTSYNC_HTTP_LISTEN",
		"SLOTSYNC_STATEDIR":       "SLOTSYNC_STATE_DIR",
		"SLOTSYNC_HAPROXY_RESINC": "SLOTSYNC_HAPROXY_RESYNC",
		"SLOTSYNC_LOG_LEVLE":      "SLOTSYNC_LOG_LEVEL",
		"SLOTSYNC_AGNET":          "SLOTSYNC_AGENT",
		"SLOTSYNC_TOKENFILE":      "SLOTSYNC_TOKEN_FILE",

		// known
		"SLOTSYNC_HTTP_LISTEN": "", "SLOTSYNC_STATE_DIR": "", "SLOTSYNC_AGENT": "", "SLOTSYNC_DEPS": "", "SLOTSYNC_LOG_LEVEL": "",
		// what Kubernetes makes for services named slotsync, slotsync-http, slotsync-agent
		// and slotsync-log-level
		"SLOTSYNC_SERVICE_HOST": "", "SLOTSYNC_SERVICE_PORT": "", "SLOTSYNC_SERVICE_PORT_HTTP": "", "SLOTSYNC_PORT": "",
		"SLOTSYNC_PORT_9750_TCP": "", "SLOTSYNC_PORT_9750_TCP_PROTO": "", "SLOTSYNC_PORT_9750_TCP_PORT": "", "SLOTSYNC_PORT_9750_TCP_ADDR": "",
		"SLOTSYNC_HTTP_SERVICE_HOST": "", "SLOTSYNC_HTTP_PORT": "", "SLOTSYNC_HTTP_PORT_9750_TCP": "",
		"SLOTSYNC_AGENT_PORT": "", "SLOTSYNC_AGENT_SERVICE_PORT_HTTP": "", "SLOTSYNC_LOG_LEVEL_PORT": "",
		// of others
		"SLOTSYNC_VERSION": "", "SLOTSYNC_IMAGE": "", "SLOTSYNC_HOME": "", "SLOTSYNC_URL": "", "SLOTSYNC_LONG": "", "SLOTSYNC_": "", "SLOTSYNC": "", "PATH": "",
	} {
		var want []Misspelt
		if meant != "" {
			want = []Misspelt{{name, meant}}
		}
		if diff := cmp.Diff(want, Environment{name: "a secret"}.Misspelt(), cmp.AllowUnexported(Misspelt{})); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

// TestMisspeltVariablesHideTheirValues, and what a terminal would obey.
func TestMisspeltVariablesHideTheirValues(t *testing.T) {
	text := fmt.Sprint(Environment{"SLOTSYNC_TOKEN_FILE\x1b": "a secret"}.Misspelt())
	if !strings.Contains(text, "did you mean SLOTSYNC_TOKEN_FILE?") || strings.ContainsAny(text, "\x1b") || strings.Contains(text, "secret") {
		t.Errorf("%q", text)
	}
}
