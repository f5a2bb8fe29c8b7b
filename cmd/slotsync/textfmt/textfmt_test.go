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
