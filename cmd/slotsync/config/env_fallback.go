package config

import (
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
)

// An Overruled variable is set, and the configuration says something else.
type Overruled struct{ Variable, Path string }

// An envFallback takes what a source does not say from the variables that the tools of
// its discovery system know. What it took is placed at the name of the variable.
type envFallback struct {
	*checker
	source *sourceKeys
	path   string // of the source
}

// applies reports whether the variable is set and none of the keys is given. A set
// one that is of no use is noted.
func (b envFallback) applies(variable string, keys ...string) bool {
	if b.env[variable] == "" {
		return false
	}
	for _, key := range keys {
		if here := join(b.path, key); b.given(here) {
			b.overruled = append(b.overruled, Overruled{variable, here})
			return false
		}
	}
	return true
}

func (b envFallback) set(variable, key string, value any) {
	b.places[join(b.path, key)] = place{name: variable}
	v := reflect.ValueOf(b.source).Elem()
	for part := range strings.SplitSeq(key, ".") {
		f, _ := fieldOf(v.Type(), part)
		v = v.FieldByIndex(f.Index)
	}
	v.Set(reflect.ValueOf(value))
}

func (b envFallback) text(variable, key string) {
	if b.applies(variable, key) {
		b.set(variable, key, b.env[variable])
	}
}

// files fills keys that belong together, where none of them is given. Paths may be
// relative there, as for the tools: to where slotsync was started.
func (b envFallback) files(variables, keys []string) {
	var used []int
	for i, variable := range variables {
		if b.applies(variable, keys...) {
			used = append(used, i)
		}
	}
	for _, i := range used {
		b.set(variables[i], keys[i], absolute(b.env[variables[i]]))
	}
}

func (b envFallback) tls(prefix, verify string, off bool) {
	b.files([]string{prefix + "CACERT", prefix + "CAPATH"}, []string{"tls.ca_file", "tls.ca_path"})
	b.files([]string{prefix + "CLIENT_CERT", prefix + "CLIENT_KEY"}, []string{"tls.cert_file", "tls.key_file"})
	b.text(prefix+"TLS_SERVER_NAME", "tls.server_name")
	if on, ok := b.boolean(verify, "tls.insecure_skip_verify"); ok && on != off {
		b.set(verify, "tls.insecure_skip_verify", true)
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
	b.secrets[join(b.path, as)] = place{name: variable}
	text := strings.TrimSpace(b.env[variable])
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		b.fault(variable, "holds characters that no %s has", as)
	}
	return text
}

func (b envFallback) fault(variable, format string, args ...any) {
	b.faults = append(b.faults, newFault(place{name: variable}, b.path, format, args...))
}

// absolute returns path as seen from where slotsync was started.
func absolute(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

func withoutUser(address string) string {
	user := regexp.MustCompile(`^(.*?://)?[^/?#]*@`)
	return discovery.Printable(user.ReplaceAllString(address, "${1}…@"), 60)
}
