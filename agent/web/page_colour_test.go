package web_test

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// luminance is the relative luminance of a colour, as WCAG 2.1 defines it.
func luminance(t *testing.T, rgb string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(rgb, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	linear := func(c uint64) float64 {
		v := float64(c&0xff) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(n>>16) + 0.7152*linear(n>>8) + 0.0722*linear(n)
}

// TestPageContrast computes what WCAG 2.1 (1.4.3) asks of every text on every ground
// that the style puts it on.
func TestPageContrast(t *testing.T) {
	css, err := os.ReadFile("page/page.css")
	if err != nil {
		t.Fatal(err)
	}
	themes := regexp.MustCompile(`(?s):root \{.*?\}`).FindAllString(string(css), -1)
	if len(themes) != 2 {
		t.Fatalf("%d themes", len(themes))
	}
	pairs := [][2]string{{"text", "ground"}, {"text", "raised"}, {"quiet", "ground"}, {"quiet", "raised"}, {"link", "ground"}, {"link", "raised"},
		{"faint", "ground"}, {"faint", "lacking"}, {"faint", "free"}, {"good-text", "good"}, {"warn-text", "warn"}, {"bad-text", "bad"}}
	for _, class := range []string{"up", "nocheck", "drain", "maint", "down", "differs"} {
		pairs = append(pairs, [2]string{"cell", class})
	}
	for i, theme := range themes {
		colours := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6})`).FindAllStringSubmatch(theme, -1) {
			colours[m[1]] = luminance(t, m[2])
		}
		for _, p := range pairs {
			a, b := colours[p[0]], colours[p[1]]
			if got := (max(a, b) + .05) / (min(a, b) + .05); got < 4.5 {
				t.Errorf("theme %d: %s on %s has a contrast of %.2f", i, p[0], p[1], got)
			}
		}
	}
}
