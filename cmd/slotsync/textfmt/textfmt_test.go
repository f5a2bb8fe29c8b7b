package textfmt

import (
	"testing"
	"time"
)

func TestAbout(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                            "0s",
		1234 * time.Microsecond:                 "1ms",
		1234 * time.Millisecond:                 "1.2s",
		12345 * time.Millisecond:                "12s",
		5 * time.Minute:                         "5m",
		61 * time.Second:                        "1m1s",
		time.Hour + 40*time.Second:              "1h1m",
		2 * time.Hour:                           "2h",
		51*time.Hour + 59*time.Minute:           "2d3h",
		90*24*time.Hour + 30*time.Minute:        "90d0h",
		59*time.Minute + 59600*time.Microsecond: "59m",
	} {
		if got := About(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

func TestClock(t *testing.T) {
	now := time.Date(2026, 11, 21, 1, 0, 0, 0, time.FixedZone("", 2*3600)) // the day before in UTC
	for at, want := range map[time.Time]string{
		now: "23:00:00Z", now.Add(-23 * time.Hour): "00:00:00Z", now.Add(-24 * time.Hour): "2026-11-19 23:00:00Z", now.Add(time.Hour).UTC(): "2026-11-21 00:00:00Z",
	} {
		if got := Clock(at, now); got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
}
