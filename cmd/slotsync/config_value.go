package main

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/discovery"
)

// A checker turns raw values into typed ones and collects what is wrong with
// them, each at the place that its path has.
type checker struct {
	places map[string]place
	faults []fault
}

// add reports a fault at path, or at the nearest thing around it that has a
// place: a missing key has none of its own.
func (c *checker) add(path, format string, args ...any) {
	at, ok := c.places[path]
	for outer := path; !ok; at, ok = c.places[outer] {
		outer = parent(outer)
	}
	message := fmt.Sprintf(format, args...)
	if at.name == "" {
		message = label(path) + message
	}
	c.faults = append(c.faults, fault{place: at, message: message})
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
		return fallback
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		c.add(path, "%q is not a duration, as in 500ms, 30s or 5m", shown(text))
	case d < least || d > most:
		c.add(path, "%s is not within %s and %s", shown(text), short(least), short(most))
	default:
		return d
	}
	return fallback
}

// short writes 5m where Go writes 5m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// count returns n, or fallback if it is 0. It must be within most and least.
func (c *checker) count(path string, n, fallback, least, most int) int {
	switch {
	case n == 0 && !c.given(path):
		return fallback
	case n < least || n > most:
		c.add(path, "%d is not within %d and %d", n, least, most)
		return fallback
	}
	return n
}

// hold reads a duration that may also be off or endless.
func (c *checker) hold(path, text string, fallback time.Duration) time.Duration {
	switch d, err := time.ParseDuration(text); {
	case text == "":
		return fallback
	case text == "never":
		return agent.Never
	case err != nil:
		c.add(path, "%q is not a hold: a duration as in 30s, 0s for none, or never", shown(text))
		return fallback
	case d == 0:
		return agent.Off
	}
	return c.duration(path, text, fallback, 100*time.Millisecond, 7*24*time.Hour)
}

func (c *checker) percent(path, text string, fallback float64) float64 {
	if text == "" {
		return fallback
	}
	digits, ok := strings.CutSuffix(text, "%")
	n, err := strconv.ParseUint(digits, 10, 16)
	if !ok || err != nil || n < 1 || n > 100 {
		c.add(path, "%q is not a share, from 1%% to 100%%", shown(text))
		return fallback
	}
	return float64(n) / 100
}

// oneOf returns text, or the first of the words if it is empty.
func (c *checker) oneOf(path, text string, words ...string) string {
	if text == "" {
		return words[0]
	}
	if !slices.Contains(words, text) {
		c.add(path, "%q is none of %s%s", shown(text), strings.Join(words, ", "), didYouMean(text, words))
		return words[0]
	}
	return text
}

// name checks what becomes a part of a command or a label.
func (c *checker) name(path, text string) {
	if text == "" {
		c.add(path, "is missing")
		return
	}
	if !regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,128}$`).MatchString(text) {
		c.add(path, "%q is not a name: letters, digits and _ . : - only, at most 128", shown(text))
	}
}

// reference checks that text is one of the names.
func (c *checker) reference(path, text, kind string, names []string) bool {
	if slices.Contains(names, text) {
		return true
	}
	switch hint := didYouMean(text, names); {
	case hint != "":
		c.add(path, "there is no %s named %q%s", kind, shown(text), hint)
	case len(names) == 0:
		c.add(path, "there is no %s named %q: none is configured", kind, shown(text))
	default:
		c.add(path, "there is no %s named %q: there is %s", kind, shown(text), strings.Join(names, ", "))
	}
	return false
}

func (c *checker) endpoint(path, text string) (discovery.Endpoint, bool) {
	addr, err := netip.ParseAddrPort(text)
	if err != nil {
		c.add(path, "%q is not an address and port, as in 10.0.0.1:80 or [2001:db8::1]:80", shown(text))
		return discovery.Endpoint{}, false
	}
	if reason := discovery.Check(addr); reason != "" {
		c.add(path, "%s must not be an endpoint (%s)", addr, strings.ReplaceAll(reason, "_", " "))
		return discovery.Endpoint{}, false
	}
	return discovery.Endpoint{Addr: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())}, true
}

// hostPort checks a host and a port from least to 65535.
func (c *checker) hostPort(path, text string, least int) {
	host, port, err := net.SplitHostPort(text)
	if err != nil || (host == "" && least > 0) {
		c.add(path, "%q is not host:port", shown(text))
		return
	}
	if n, err := strconv.Atoi(port); err != nil || n < least || n > 65535 {
		c.add(path, "port %q is not within %d and 65535", shown(port), least)
	}
}
