package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
)

// name checks what becomes a part of a command or a label.
func (c *checker) name(path, text string) {
	if text == "" {
		c.add(path, "is missing")
		return
	}
	if len(text) > 128 || strings.ContainsFunc(text, func(r rune) bool { return !isPlain(r) && r != '.' && r != ':' }) {
		c.add(path, "%q is not a name: letters, digits and _ . : - only, at most 128", textfmt.Clip(text))
	}
}

// isPlain reports whether r is a letter, a digit, - or _.
func isPlain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}

// isDomain reports whether text is a name in DNS, with or without the dot at its end.
func isDomain(text string) bool {
	if len(text) > 254 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(text, "."), ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool { return !isPlain(r) }) {
			return false
		}
	}
	return true
}

// reference checks that text is one of the names.
func (c *checker) reference(path, text, kind string, names []string) bool {
	if slices.Contains(names, text) {
		return true
	}
	switch hint := textfmt.DidYouMean(text, names); {
	case hint != "":
		c.add(path, "there is no %s named %q%s", kind, textfmt.Clip(text), hint)
	case len(names) == 0:
		c.add(path, "there is no %s named %q: none is configured", kind, textfmt.Clip(text))
	default:
		c.add(path, "there is no %s named %q: there is %s", kind, textfmt.Clip(text), strings.Join(names, ", "))
	}
	return false
}

func (c *checker) endpoint(path, text string) (discovery.Endpoint, bool) {
	addr, err := netip.ParseAddrPort(text)
	if err != nil {
		c.add(path, "%q is not an address and port, as in 10.0.0.1:80 or [2001:db8::1]:80", textfmt.Clip(text))
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
		c.add(path, "%q is not host:port", textfmt.Clip(text))
		return
	}
	if n, err := strconv.Atoi(port); err != nil || n < least || n > 65535 {
		c.add(path, "port %q is not within %d and 65535", textfmt.Clip(port), least)
	}
}

// file checks the path of a file that is read later.
func (c *checker) file(path, file string) {
	if file != "" && !filepath.IsAbs(file) {
		c.add(path, "%q is not an absolute path", textfmt.Clip(file))
	}
}

// networks reads a list of networks; an address alone is a network of one.
func (c *checker) networks(path string, list []string) []netip.Prefix {
	var all []netip.Prefix
	for i, text := range list {
		here := fmt.Sprintf("%s[%d]", path, i)
		n, err := netip.ParsePrefix(text)
		if addr, alone := netip.ParseAddr(text); err != nil && alone == nil && addr.Zone() == "" {
			n, err = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
		}
		switch {
		case err != nil:
			c.add(here, "%q is not a network, as in 10.0.0.0/8 or 2001:db8::/32", textfmt.Clip(text))
		case n != n.Masked():
			c.add(here, "%s has bits beyond its length; did you mean %q?", textfmt.Clip(text), n.Masked())
		case n.Addr().Is4In6():
			c.add(here, "%s: write IPv4 networks as such: addresses are compared in that form", textfmt.Clip(text))
		default:
			all = append(all, n)
		}
	}
	return all
}
