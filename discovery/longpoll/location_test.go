package longpoll

import (
	"strings"
	"testing"
)

func TestParseLocation(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8501": "http://127.0.0.1:8501", "https://consul:8501/": "https://consul:8501",
		"http://[::1]:8500/prefix/": "http://[::1]:8500/prefix", "unix:///run/consul.sock": "http://localhost /run/consul.sock",
	} {
		at, err := parseLocation(address)
		if got := strings.TrimSpace(at.Base.String() + " " + at.Socket); err != nil || got != want {
			t.Errorf("%q became %q %v", address, got, err)
		}
	}
	for _, address := range []string{"", "ftp://x:1", "http://u:secret@x:1", "u:secret@x:1", "http://x:1?a=b", "http://x:1#a", "http://", "unix://x", "unix://",
		"http://u:secret@x:port", "http://u:pass/secret@x:1", "http://u:%secret@x:1", "http://x:1?token=secret", "ftp://x:1?token=secret",
		"http://secret@x:1", "ftp://secret@x:1", "http://x:1#secret", "ftp://x:1#secret", "opaque:secret@x", "unix://u:secret@x"} {
		if at, err := parseLocation(address); err == nil || strings.Contains(err.Error(), "secret") || at != (Location{}) {
			t.Errorf("%q became %v %v", address, at, err)
		}
	}
}

func TestQuestion(t *testing.T) {
	for address, want := range map[string]string{
		"http://consul:8500/prefix": "GET /v1/health?index=1 of http://consul:8500/prefix",
		"unix:///run/consul.sock":   "GET /v1/health?index=1 of unix:///run/consul.sock",
	} {
		at, err := parseLocation(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := at.question(at.Base.String() + "/v1/health?index=1"); got != want {
			t.Errorf("got %q", got)
		}
	}
}
