package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots/haproxy"
)

// A format is what a text must look like. Check may refuse more than the pattern, which is
// then for the schema alone.
type format struct {
	pattern *regexp.Regexp
	says    string // of a text without the pattern
	check   func(text string) error
}

var domain = regexp.MustCompile(`^([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?$`)

var formats = map[string]format{
	"name":       {pattern: regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,128}$`), says: "is not a name: letters, digits and _ . : - only, at most 128"},
	"path":       {pattern: regexp.MustCompile(`^/`), says: "is not an absolute path"},
	"key:value":  {pattern: regexp.MustCompile(`^[^:]+:`), says: "is not key:value"},
	"domain":     {pattern: domain, check: checkDomain},
	"api socket": {pattern: regexp.MustCompile(`^/.{0,106}$`), says: "is not an absolute path of at most 107 bytes"},
	"tag":        {pattern: regexp.MustCompile(`^.`), check: checkTag},
	"state file": {pattern: regexp.MustCompile(`^/`), check: checkStateFile},
	"ip:port":    {pattern: regexp.MustCompile(`:[0-9]+$`), check: checkServer},
	"endpoint":   {pattern: regexp.MustCompile(`:[0-9]+$`), check: checkEndpoint},
	"listen":     {pattern: regexp.MustCompile(`^$|:[0-9]+$`), check: func(text string) error { return checkHostPort(text, 0) }},
	"url":        {pattern: regexp.MustCompile(`^(https?://[^/@?#]+(/[^?#]*)?|unix:///.*)$`), check: checkURL},
	"socket":     {pattern: regexp.MustCompile(`^(unix://)?/|^tcp://.*:[0-9]+$`), check: checkSocket},
	"state dir":  {pattern: regexp.MustCompile(`^/|^none$`), says: "is neither an absolute path nor none"},
	"options":    {check: haproxy.CheckOptions},
}

func (f format) validate(text string) error {
	switch {
	case f.check != nil:
		return f.check(text)
	case !f.pattern.MatchString(text):
		return fmt.Errorf("%q %s", textfmt.Clip(text), f.says)
	}
	return nil
}

func checkDomain(text string) error {
	if len(text) > 254 || !domain.MatchString(text) {
		return fmt.Errorf("%q is not a name in DNS", textfmt.Clip(text))
	}
	return nil
}

func checkTag(text string) error {
	if text == "" || discovery.Printable(text, 255) != text {
		return fmt.Errorf("%q is not a tag", textfmt.Clip(text))
	}
	return nil
}

func checkServer(text string) error {
	if a, err := netip.ParseAddrPort(text); err != nil || a.Port() == 0 {
		return fmt.Errorf("%q is not ip:port, as in 127.0.0.1:53", textfmt.Clip(text))
	}
	return nil
}

func checkEndpoint(text string) error {
	addr, err := netip.ParseAddrPort(text)
	if err != nil {
		return fmt.Errorf("%q is not an address and port, as in 10.0.0.1:80 or [2001:db8::1]:80", textfmt.Clip(text))
	}
	if reason := discovery.Check(addr); reason != "" {
		return fmt.Errorf("%s must not be an endpoint (%s)", addr, strings.ReplaceAll(reason, "_", " "))
	}
	return nil
}

func checkStateFile(text string) error {
	switch {
	case !filepath.IsAbs(text):
		return fmt.Errorf("%q is not an absolute path", textfmt.Clip(text))
	case strings.ContainsAny(strings.Replace(text, "{backend}", "", 1), "{}"):
		return fmt.Errorf("%q: only {backend} is replaced, and once", textfmt.Clip(text))
	}
	return nil
}

// checkHostPort checks a host and a port from least to 65535.
func checkHostPort(text string, least int) error {
	host, port, err := net.SplitHostPort(text)
	if err != nil || (host == "" && least > 0) {
		return fmt.Errorf("%q is not host:port", textfmt.Clip(text))
	}
	if n, err := strconv.Atoi(port); err != nil || n < least || n > 65535 {
		return fmt.Errorf("port %q is not within %d and 65535", textfmt.Clip(port), least)
	}
	return nil
}

// maxSocketPath is what fits into sockaddr_un, in bytes.
const maxSocketPath = 107

// checkSocket checks the address of a Runtime API.
func checkSocket(text string) error {
	if address, ok := strings.CutPrefix(text, "tcp://"); ok {
		return checkHostPort(address, 1)
	}
	switch file := strings.TrimPrefix(text, "unix://"); {
	case strings.Contains(file, "://") || !filepath.IsAbs(file):
		return fmt.Errorf("%q is not an absolute path, unix:///path or tcp://host:port", textfmt.Clip(text))
	case len(file) > maxSocketPath:
		return fmt.Errorf("the path is %d bytes long, and the system takes %d: use a shorter one, or a link to it", len(file), maxSocketPath)
	}
	return nil
}

func checkURL(text string) error {
	if strings.HasPrefix(text, "unix:///") {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return fmt.Errorf("%q is not http://host:port, https://host:port or unix:///path", withoutUser(text))
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("has more than scheme, host and port: tokens belong into token_file")
	}
	return nil
}

func checkWord(text string, words []string) error {
	if slices.Contains(words, text) {
		return nil
	}
	return fmt.Errorf("%q is none of %s%s", textfmt.Clip(text), strings.Join(words, ", "), textfmt.DidYouMean(text, words))
}
