package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/slotsync/slotsync/discovery"
)

// Settings are a configuration as it is in force, with what was assumed where
// nothing was said.
type Settings struct {
	file    string
	root    *rootKeys
	checker *checker
}

// A setting is the value of one key: a string, a bool, an int, a list of strings,
// a []setting (keys and values) or a [][]setting (a list of those).
type setting struct {
	key, path string
	value     any
}

// list returns all settings in the order of the schema.
func (s Settings) list() []setting { return s.mapping(reflect.ValueOf(s.root).Elem(), "") }

func (s Settings) mapping(v reflect.Value, path string) []setting {
	var list []setting
	for key, f := range members(v.Type()) {
		here := join(path, key)
		if value := s.value(v.FieldByIndex(f.Index), here); value != nil {
			list = append(list, setting{key, here, value})
		}
	}
	return list
}

// value returns what is in force at path, or nil where nothing is.
func (s Settings) value(v reflect.Value, path string) any {
	switch {
	case IsMapping(v.Type()):
		if r, ok := v.Interface().(Reload); ok && r.None {
			return "none"
		}
		if list := s.mapping(v, path); len(list) > 0 {
			return list
		}
		return nil
	case v.Kind() == reflect.Slice:
		return s.slice(v, path)
	case !s.checker.assumed[path] && v.IsZero() && (!s.checker.given(path) || s.checker.unset[path]):
		return nil
	}
	return written(v)
}

func (s Settings) slice(v reflect.Value, path string) any {
	if v.Len() == 0 {
		return nil
	}
	if !IsMapping(v.Type().Elem()) {
		return written(v)
	}
	var all [][]setting
	for i := range v.Len() {
		all = append(all, s.mapping(v.Index(i), fmt.Sprintf("%s[%d]", path, i)))
	}
	return all
}

func (s Settings) origin(path string) string {
	at := s.checker.places[path]
	if secret, ok := s.checker.secrets[path]; ok {
		at = secret
	}
	switch {
	case s.checker.assumed[path]:
	case at.name != "":
		return "environment " + at.name
	case at.line > 0:
		return fmt.Sprintf("%s:%d", discovery.Printable(s.file, 200), at.line)
	}
	return "default"
}

// secretsOf returns the paths of what is set within path, and not shown.
func (s Settings) secretsOf(path string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.checker.secrets)), func(secret string) bool {
		return parent(secret) != path
	})
}

// JSON returns the settings as JSON has them, with their origins if asked for.
func (s Settings) JSON(origins bool) map[string]any {
	list := s.list()
	if !origins {
		return plain(list)
	}
	return map[string]any{"config": plain(list), "origins": s.origins(list)}
}

// plain returns the list as JSON has it.
func plain(list []setting) map[string]any {
	out := map[string]any{}
	for _, each := range list {
		switch value := each.value.(type) {
		case []setting:
			out[each.key] = plain(value)
		case [][]setting:
			var all []any
			for _, entry := range value {
				all = append(all, plain(entry))
			}
			out[each.key] = all
		default:
			out[each.key] = value
		}
	}
	return out
}

func (s Settings) origins(list []setting) map[string]string {
	out := map[string]string{}
	for _, line := range s.lines(list, "", "") {
		if line.path != "" {
			out[line.path] = s.origin(line.path)
		}
	}
	return out
}

// Notes says which variables are set and of no use.
func (cfg *Config) Notes() []string { return notes(cfg.Overruled) }

func notes(list []Overruled) []string {
	var lines []string
	for _, o := range list {
		lines = append(lines, fmt.Sprintf("%s is set and not used: %s is configured", o.Variable, o.Path))
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// YAML returns the settings as YAML, with their origins as comments if asked
// for. Secrets are in comments alone, and not shown.
func (s Settings) YAML(origins bool) string {
	var b strings.Builder
	for _, line := range s.lines(s.list(), "", "") {
		if origins && line.path != "" {
			fmt.Fprintf(&b, "%-*s # %s\n", originColumn, line.text, s.origin(line.path))
			continue
		}
		fmt.Fprintln(&b, line.text)
	}
	for _, note := range notes(s.checker.overruled) {
		fmt.Fprintf(&b, "# %s\n", note)
	}
	return b.String()
}

// originColumn is where comments begin, where what is before them is not longer.
const originColumn = 48

// A yamlLine is one line, and the path of the value in it; "" if it has none.
type yamlLine struct{ text, path string }

func (s Settings) lines(list []setting, path, indent string) []yamlLine {
	var lines []yamlLine
	for _, each := range list {
		switch value := each.value.(type) {
		case []setting:
			lines = append(lines, yamlLine{text: indent + each.key + ":"})
			lines = append(lines, s.lines(value, each.path, indent+"  ")...)
		case [][]setting:
			lines = append(lines, yamlLine{text: indent + each.key + ":"})
			for i, entry := range value {
				part := s.lines(entry, fmt.Sprintf("%s[%d]", each.path, i), indent+"    ")
				part[0].text = indent + "  - " + strings.TrimPrefix(part[0].text, indent+"    ")
				lines = append(lines, part...)
			}
		default:
			lines = append(lines, yamlLine{indent + each.key + ": " + yamlText(value), each.path})
		}
	}
	for _, secret := range s.secretsOf(path) {
		lines = append(lines, yamlLine{indent + "# " + strings.TrimPrefix(secret, path+".") + ": (set)", secret})
	}
	return lines
}

// yamlText returns a scalar, or a list of strings, on one line.
func yamlText(value any) string {
	switch value := value.(type) {
	case string:
		return yamlString(value)
	case []string:
		words := make([]string, len(value))
		for i, word := range value {
			words[i] = yamlString(word)
		}
		return "[" + strings.Join(words, ", ") + "]"
	}
	return fmt.Sprint(value)
}

// yamlString returns s as it is where YAML reads that as the same string, else in
// the quotes of JSON, which YAML reads as well.
func yamlString(s string) string {
	var n yaml.Node
	if regexp.MustCompile(`^[A-Za-z0-9/._][A-Za-z0-9/._%+-]*$`).MatchString(s) && yaml.Unmarshal([]byte(s), &n) == nil &&
		len(n.Content) == 1 && n.Content[0].ShortTag() == "!!str" {
		return s
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string has no error
	return strings.TrimSpace(b.String())
}
