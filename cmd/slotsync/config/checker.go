package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// A checker completes what was read, and collects what is wrong with it, each at the
// place that its path has.
type checker struct {
	document
	env    Environment
	faults []fault
	// warnings are of keys that have no effect.
	warnings []fault
	// inherited are the paths of keys that another one gave, and its path.
	inherited map[string]string
	// usual are the paths of keys that somebody gave and that say the default.
	usual map[string]bool
	// assumed are the paths of keys that nobody gave, and that have a value nevertheless.
	assumed map[string]bool
	// secrets are paths of values that are not shown, such as a token that the
	// environment has.
	secrets map[string]place
	// overruled are variables that are set, and the paths by which the
	// configuration says something else.
	overruled []Overruled
}

func newChecker(doc document, env Environment) *checker {
	return &checker{document: doc, env: env, assumed: map[string]bool{}, inherited: map[string]string{},
		usual: map[string]bool{}, secrets: map[string]place{}}
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
	c.faults = append(c.faults, newFault(at, path, format, args...))
}

func (c *checker) addError(path string, err error) {
	if err != nil {
		c.add(path, "%s", err)
	}
}

// faulty reports whether something of path is known to be wrong.
func (c *checker) faulty(path string) bool {
	return slices.ContainsFunc(c.faults, func(f fault) bool { return f.path == path || strings.HasPrefix(f.path, path+".") })
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

// complete gives the keys of a mapping at path, which keys points to, their defaults, and
// checks what they say. Keys that are for other types of source are left alone.
func (c *checker) complete(path string, keys any, kind string) {
	c.completeAll(path, reflect.ValueOf(keys).Elem(), kind)
}

func (c *checker) completeAll(path string, v reflect.Value, kind string) {
	for key, f := range members(v.Type()) {
		if !isFor(f, kind) || f.Tag.Get("optional") != "" {
			continue
		}
		if IsMapping(f.Type) {
			c.completeAll(join(path, key), v.FieldByIndex(f.Index), kind)
			continue
		}
		c.completeKey(join(path, key), f, v.FieldByIndex(f.Index), kind)
	}
}

func (c *checker) completeKey(path string, f reflect.StructField, v reflect.Value, kind string) {
	usual := reflect.Zero(f.Type)
	text := fallback(f, kind)
	if text != "" {
		value, _ := read(f.Type, f.Tag, text) // a test reads all tags
		usual = reflect.ValueOf(value)
	}
	nothing := v.IsZero() && (!c.given(path) || c.unset[path] || v.Kind() == reflect.String && f.Tag.Get("empty") == "")
	switch {
	case !nothing && (v.Kind() != reflect.Slice || v.Len() > 0):
		c.usual[path] = c.usual[path] || reflect.DeepEqual(v.Interface(), usual.Interface())
		if err := c.checkKey(path, f, v); err != nil {
			c.add(path, "%s", err)
			if v.Kind() != reflect.String || f.Tag.Get("enum") != "" {
				v.Set(usual)
			}
		}
	case text != "":
		v.Set(usual)
		c.assumed[path] = true
	case required(f, kind):
		c.add(path, "%s", cmp.Or(f.Tag.Get("missing"), "is missing"))
	default:
		c.usual[path] = true
	}
}

// checkKey says what is wrong with a value; what is wrong in a list it reports itself.
func (c *checker) checkKey(path string, f reflect.StructField, v reflect.Value) error {
	format, ok := formats[f.Tag.Get("format")]
	switch {
	case f.Tag.Get("enum") != "":
		return checkWord(v.String(), words(f, "enum"))
	case v.CanInt() && (v.Kind() == reflect.Int || v.Int() >= 0) && !inBounds(f.Tag, v.Int()):
		return outside(f.Tag, fmt.Sprint(written(v)))
	case !ok:
	case v.Kind() == reflect.Slice:
		for i, text := range v.Interface().([]string) {
			c.addError(fmt.Sprintf("%s[%d]", path, i), format.validate(text))
		}
	case v.String() != "" || f.Tag.Get("empty") == "refused":
		return format.validate(v.String())
	}
	return nil
}

// onlyFor refuses keys that mean nothing for a type of source: the format has the key's
// own types.
func (c *checker) onlyFor(path string, t reflect.Type, kind string, why func(reflect.StructField) string) {
	for key, f := range members(t) {
		if here := join(path, key); c.given(here) && !isFor(f, kind) {
			c.add(here, "%s", why(f))
		}
	}
}

func (c *checker) notWith(path, what string, keys ...string) {
	for _, key := range keys {
		if here := join(path, key); c.given(here) {
			c.add(here, "does not go with %s", what)
		}
	}
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
