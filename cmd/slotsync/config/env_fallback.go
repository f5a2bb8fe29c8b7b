package config

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
)

// An Overruled variable is set, and the configuration says something else.
type Overruled struct{ Variable, Path string }

// A envFallback takes what a source does not say from the variables that the tools of
// its discovery system know. What it took is placed at the name of the variable.
type envFallback struct {
	*checker
	env  Environment
	path string // of the source
}

// applies reports whether the variable is set and none of the keys is given. A set
// one that is of no use is noted.
func (b envFallback) applies(variable string, keys ...string) bool {
	if b.env[variable] == "" {
		return false
	}
	for _, key := range keys {
		if b.given(b.path + "." + key) {
			b.overruled = append(b.overruled, Overruled{variable, b.path + "." + key})
			return false
		}
	}
	return true
}

func (b envFallback) record(variable, key string) { b.places[b.path+"."+key] = place{name: variable} }

// text fills one key.
func (b envFallback) text(variable, key string, to *string) {
	if b.applies(variable, key) {
		*to = b.env[variable]
		b.record(variable, key)
	}
}

// tls fills the keys of tls. Paths may be relative there, as for the tools: to
// where slotsync was started.
func (b envFallback) tls(to *rawTLS, prefix, verify string, off bool) {
	ca, ca2 := b.applies(prefix+"CACERT", "tls.ca_file", "tls.ca_path"), b.applies(prefix+"CAPATH", "tls.ca_file", "tls.ca_path")
	cert, key := b.applies(prefix+"CLIENT_CERT", "tls.cert_file", "tls.key_file"), b.applies(prefix+"CLIENT_KEY", "tls.cert_file", "tls.key_file")
	for _, f := range []struct {
		free          bool
		variable, key string
		to            *string
	}{
		{ca, "CACERT", "ca_file", &to.CAFile}, {ca2, "CAPATH", "ca_path", &to.CAPath},
		{cert, "CLIENT_CERT", "cert_file", &to.CertFile}, {key, "CLIENT_KEY", "key_file", &to.KeyFile},
	} {
		if f.free {
			*f.to = absolute(b.env[prefix+f.variable])
			b.record(prefix+f.variable, "tls."+f.key)
		}
	}
	b.text(prefix+"TLS_SERVER_NAME", "tls.server_name", &to.ServerName)
	if on, ok := b.boolean(verify, "tls.insecure_skip_verify"); ok && on != off {
		to.InsecureSkipVerify = true
		b.record(verify, "tls.insecure_skip_verify")
	}
}

// boolean reads a variable that is a yes or no. ok is false where it is not to be
// used.
func (b envFallback) boolean(variable string, keys ...string) (on, ok bool) {
	if !b.applies(variable, keys...) {
		return false, false
	}
	on, err := strconv.ParseBool(b.env[variable])
	if err != nil {
		b.fault(variable, "wants true or false, not %q", textfmt.Clip(b.env[variable]))
	}
	return on, err == nil
}

// secret returns what a variable holds and nobody is shown, if no key says where
// another is.
func (b envFallback) secret(variable, as string, keys ...string) string {
	if !b.applies(variable, keys...) {
		return ""
	}
	b.secrets[b.path+"."+as] = place{name: variable}
	text := strings.TrimSpace(b.env[variable])
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		b.fault(variable, "holds characters that no %s has", as)
	}
	return text
}

// fault reports what is wrong with a variable.
func (b envFallback) fault(variable, format string, args ...any) {
	b.faults = append(b.faults, fault{place{name: variable}, b.path, fmt.Sprintf(format, args...)})
}

// absolute returns path as seen from where slotsync was started.
func absolute(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

// withoutUser returns a URL as it may be shown: without a user and a password.
func withoutUser(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		scheme, rest = "", address
	} else {
		scheme += "://"
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if i := strings.LastIndex(rest[:end], "@"); i >= 0 {
		rest = "…" + rest[i:]
	}
	return discovery.Printable(scheme+rest, 60)
}
