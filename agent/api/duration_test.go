package api

import (
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "0": 0, "1d": 24 * time.Hour, "1.5d": 36 * time.Hour, ".5d": 12 * time.Hour, "2w": 14 * 24 * time.Hour,
		"1w2d3h4m": (9*24+3)*time.Hour + 4*time.Minute, "-1d": -24 * time.Hour, "1h30m": 90 * time.Minute,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "1", "1 d", "1D", "d1", "1days", "9999999999d", "1.2.3d", "..d"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
