package config

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// A checker turns raw values into typed ones and collects what is wrong with
// them, each at the place that its path has.
type checker struct {
	places map[string]place
	env    Environment
	faults []fault
	// warnings are of keys that have no effect.
	warnings []fault
	// inherited are the paths of keys that the defaults gave, and theirs.
	inherited map[string]string
	// usual are the paths of keys that somebody gave and that say the default.
	usual map[string]bool
	// assumed are the values of keys that nobody gave.
	assumed map[string]assumption
	// secrets are paths of values that are not shown, such as a token that the
	// environment has.
	secrets map[string]place
	// overruled are variables that are set, and the paths by which the
	// configuration says something else.
	overruled []Overruled
}

func newChecker(doc document, env Environment) *checker {
	return &checker{places: doc.places, env: env, assumed: map[string]assumption{}, inherited: map[string]string{},
		usual: map[string]bool{}, secrets: map[string]place{}}
}

// An assumption is the value in force of a key that nobody gave.
type assumption struct {
	value any
	// of is the path of the key that it is inherited from; "" for a default.
	of string
}

// add reports a fault at path, or at the nearest thing around it that has a
// place: a missing key has none of its own.
func (c *checker) add(path, format string, args ...any) {
	if of, ok := c.inherited[path]; ok {
		path = of
	}
	at, ok := c.places[path]
	for outer := path; !ok; at, ok = c.places[outer] {
		outer = parent(outer)
	}
	message := fmt.Sprintf(format, args...)
	if at.name == "" {
		message = label(path) + message
	}
	c.faults = append(c.faults, fault{place: at, path: path, message: message})
}

// assume notes the value of a key that nobody gave, or gave as nothing.
func (c *checker) assume(path string, value any) {
	c.assumed[path] = assumption{value: value}
}

// inherit says that what was assumed for the keys of path is the outer one's.
func (c *checker) inherit(path, outer string, keys ...string) {
	for _, key := range keys {
		if a, ok := c.assumed[path+"."+key]; ok {
			a.of = outer + "." + key
			c.assumed[path+"."+key] = a
		}
	}
}

// given reports whether path was written down by anybody.
func (c *checker) given(path string) bool {
	_, ok := c.places[path]
	return ok
}

func parent(path string) string {
	if i := strings.LastIndexAny(path, ".["); i >= 0 {
		return path[:i]
	}
	return ""
}

// duration reads text, or fallback if it is empty. It must be within most and
// least.
func (c *checker) duration(path, text string, fallback, least, most time.Duration) time.Duration {
	if text == "" {
		c.assume(path, textfmt.Duration(fallback))
		return fallback
	}
	d, err := api.ParseDuration(text)
	switch {
	case err != nil && isNumber(text):
		c.add(path, "%s has no unit%s", textfmt.Clip(text), withUnit(text, least, most))
	case err != nil:
		c.add(path, "%q is not a duration, as in 500ms, 30s or 5m", textfmt.Clip(text))
	case d < least || d > most:
		c.add(path, "%s is not within %s and %s", textfmt.Clip(text), textfmt.Duration(least), textfmt.Duration(most))
	default:
		c.usual[path] = d == fallback
		return d
	}
	return fallback
}

// isNumber reports whether text is a number and nothing else.
func isNumber(text string) bool {
	return regexp.MustCompile(`^-?[0-9]*\.?[0-9]+$`).MatchString(text)
}

// withUnit returns advice on a number without a unit: the first unit with which it is
// within least and most; "" if none is.
func withUnit(number string, least, most time.Duration) string {
	for _, unit := range []string{"s", "ms", "m", "h"} {
		if d, err := time.ParseDuration(number + unit); err == nil && d >= least && d <= most {
			return fmt.Sprintf(": write %q", number+unit)
		}
	}
	return fmt.Sprintf(", and with any it is not within %s and %s", textfmt.Duration(least), textfmt.Duration(most))
}

// count returns n, or fallback if it is 0. It must be within most and least.
func (c *checker) count(path string, n, fallback, least, most int) int {
	switch {
	case n == 0 && !c.given(path):
		c.assume(path, fallback)
		return fallback
	case n < least || n > most:
		c.add(path, "%d is not within %d and %d", n, least, most)
		return fallback
	}
	c.usual[path] = n == fallback
	return n
}

// hold reads a duration that may also be off or endless.
func (c *checker) hold(path, text string, fallback time.Duration) time.Duration {
	switch d, err := api.ParseDuration(text); {
	case text == "":
		c.assume(path, holdWord(fallback))
		return fallback
	case text == "never":
		return guard.Never
	case err != nil && !isNumber(text):
		c.add(path, "%q is not a hold: a duration as in 30s, 0s for none, or never", textfmt.Clip(text))
		return fallback
	case err == nil && d == 0:
		return guard.Off
	}
	return c.duration(path, text, fallback, 100*time.Millisecond, 7*24*time.Hour)
}

// orOff reads a duration that may also be off.
func (c *checker) orOff(path, text string, fallback time.Duration) time.Duration {
	if text == "never" {
		c.add(path, "%q is not a duration, as in 15s, or 0s for none", text)
		return fallback
	}
	return c.hold(path, text, fallback)
}

// holdWord is what hold reads as d.
func holdWord(d time.Duration) string {
	switch d {
	case guard.Never:
		return "never"
	case guard.Off:
		return "0s"
	}
	return textfmt.Duration(d)
}

// flag returns on, and notes it where nobody gave it.
func (c *checker) flag(path string, on bool) bool {
	if !c.given(path) {
		c.assume(path, on)
	}
	c.usual[path] = !on
	return on
}

func (c *checker) percent(path, text string, fallback float64) float64 {
	if text == "" {
		c.assume(path, strconv.Itoa(int(math.Round(fallback*100)))+"%")
		return fallback
	}
	digits, ok := strings.CutSuffix(text, "%")
	n, err := strconv.ParseUint(digits, 10, 16)
	if !ok && err == nil && n >= 1 && n <= 100 {
		c.add(path, "%s has no unit: write %q", digits, digits+"%")
		return fallback
	}
	if !ok || err != nil || n < 1 || n > 100 {
		c.add(path, "%q is not a share, from 1%% to 100%%", textfmt.Clip(text))
		return fallback
	}
	c.usual[path] = float64(n)/100 == fallback
	return float64(n) / 100
}

// oneOf returns text, or the first of the words if it is empty.
func (c *checker) oneOf(path, text string, words ...string) string {
	if text == "" {
		c.assume(path, words[0])
		return words[0]
	}
	if !slices.Contains(words, text) {
		c.add(path, "%q is none of %s%s", textfmt.Clip(text), strings.Join(words, ", "), textfmt.DidYouMean(text, words))
		return words[0]
	}
	c.usual[path] = text == words[0]
	return text
}
