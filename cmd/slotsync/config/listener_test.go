package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAgentAddress(t *testing.T) {
	there := filepath.Join(t.TempDir(), "there.sock")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, socket, listen, want string }{
		{"nothing", "", "", ""},
		{"socket that is there", there, "127.0.0.1:9750", "unix://" + there},
		{"socket that is not there", "/none/s.sock", "127.0.0.1:9750", "http://127.0.0.1:9750"},
		{"socket alone", "/none/s.sock", "", "unix:///none/s.sock"},
		{"listener", "", "10.0.0.1:9750", "http://10.0.0.1:9750"},
		{"name", "", "localhost:9750", "http://localhost:9750"},
		{"every address", "", ":9750", "http://127.0.0.1:9750"},
		{"every IPv4 address", "", "0.0.0.0:9750", "http://127.0.0.1:9750"},
		{"every IPv6 address", "", "[::]:9750", "http://[::1]:9750"},
		{"IPv6", "", "[::1]:9750", "http://[::1]:9750"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := (HTTP{Socket: tt.socket, Listen: tt.listen}).AgentURL(); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
