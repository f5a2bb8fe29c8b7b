package config

import (
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
)

// ourVariables is what the names of our variables begin with, and perhaps others.
const ourVariables = "SLOTSYNC_"

// An Environment is the variables that a command was started with.
type Environment map[string]string

// NewEnvironment returns the variables of a list as os.Environ returns them.
func NewEnvironment(list []string) Environment {
	env := Environment{}
	for _, pair := range list {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return env
}

// knownVariables are the names that something is looked up by, without the beginning
// that all of them have.
func knownVariables() []string {
	known := []string{"AGENT", "TOKEN_FILE", "USER", "PASSWORD_FILE", "CA_FILE", "CERT_FILE", "KEY_FILE", "DEPS"}
	for _, s := range scalars(File(), "") {
		known = append(known, strings.TrimPrefix(variable(s.path), ourVariables))
	}
	return known
}

// A Misspelt is a variable that nobody looks up, and the one that was perhaps meant.
type Misspelt struct{ Name, Meant string }

// String says so. The value is not shown: it may be a secret.
func (m Misspelt) String() string {
	return textfmt.Clip(m.Name) + " is set, and there is no such variable; did you mean " + m.Meant + "?"
}

// Misspelt returns the variables whose names are nearly known, in their order. Others
// that begin like ours belong to others: Kubernetes makes some for a service named
// slotsync.
func (env Environment) Misspelt() []Misspelt {
	kubernetes := regexp.MustCompile(`(^|_)(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)
	known := knownVariables()
	var found []Misspelt
	for _, name := range slices.Sorted(maps.Keys(env)) {
		word, ours := strings.CutPrefix(name, ourVariables)
		if !ours || slices.Contains(known, word) || kubernetes.MatchString(word) {
			continue
		}
		if meant := discovery.Nearest(strings.ToUpper(word), known); meant != "" {
			found = append(found, Misspelt{name, ourVariables + meant})
		}
	}
	return found
}

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

// merge lays the environment over the document.
// What the environment overrides is placed at the name of its variable. Viper's BindEnv
// cannot do this: it reads the variables of the process, where ours are an argument, and
// says neither which of them a value is from nor which one is faulty.
func merge(doc document, env Environment) (*rootKeys, []fault) {
	var root rootKeys
	var faults []fault
	v := viper.New()
	if err := v.MergeConfigMap(doc.values); err != nil {
		return &root, []fault{{message: err.Error()}}
	}
	for _, scalar := range scalars(File(), "") {
		path, f, name := scalar.path, scalar.field, variable(scalar.path)
		text, ok := env[name]
		if !ok {
			continue
		}
		doc.places[path] = place{name: name}
		value, err := read(f.Type, f.Tag, text)
		if err != nil {
			faults = append(faults, newFault(place{name: name}, path, "%s", err))
		}
		if doc.unset[path] = value == nil; value == nil {
			value = reflect.Zero(f.Type).Interface()
		}
		v.Set(path, value)
	}
	if err := v.Unmarshal(&root, byKey); err != nil {
		faults = append(faults, fault{message: strings.ReplaceAll(err.Error(), "\n", " ")})
	}
	if root.StateDir == "" && (doc.places["state_dir"] == place{} || doc.unset["state_dir"]) {
		if name, dir := stateFromEnvironment(env); name != "" {
			doc.places["state_dir"], doc.unset["state_dir"], root.StateDir = place{name: name}, false, dir
		}
	}
	return &root, faults
}

// byKey has the decoder find fields by their keys, without conversions.
func byKey(c *mapstructure.DecoderConfig) {
	c.TagName, c.Squash, c.WeaklyTypedInput, c.DecodeHook = "yaml", true, false, nil
}

func variable(path string) string {
	return ourVariables + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// stateFromEnvironment returns where systemd or Nomad says that state is kept, and by
// which variable; "" if neither does.
func stateFromEnvironment(env Environment) (variable, dir string) {
	// systemd joins the folders of a unit that has several.
	if first, _, _ := strings.Cut(env["STATE_DIRECTORY"], ":"); first != "" {
		return "STATE_DIRECTORY", first
	}
	if alloc := env["NOMAD_ALLOC_DIR"]; alloc != "" {
		return "NOMAD_ALLOC_DIR", alloc + "/data/slotsync"
	}
	return "", ""
}
