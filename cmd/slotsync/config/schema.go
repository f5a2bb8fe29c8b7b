package config

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"time"
)

//go:generate go -C ../../.. run ./tools/configdoc

// File is the type of the configuration file, with all that its tags say of each key.
func File() reflect.Type { return reflect.TypeFor[rootKeys]() }

// Schema returns a JSON Schema of the configuration file. It refuses less than [Load]: of
// what depends on other keys, only what a source of one type has.
func Schema() ([]byte, error) {
	s := schemaOf(File(), "")
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "the configuration of slotsync"
	return json.MarshalIndent(s, "", "  ")
}

type schema = map[string]any

func schemaOf(t reflect.Type, tag reflect.StructTag) schema {
	s := schema{}
	switch {
	case IsMapping(t):
		s = mappingSchema(t)
		if word := wordOf(t); word != "" {
			s = schema{"oneOf": []schema{s, {"const": word}}}
		}
	case t.Kind() == reflect.Slice:
		s["type"], s["items"] = "array", schemaOf(t.Elem(), tag)
		if tag.Get("required") != "" {
			s["minItems"] = 1
		}
	case t.Kind() == reflect.Bool:
		s["type"] = "boolean"
	case t.Kind() == reflect.Int:
		s["type"] = "integer"
		if tag.Get("min") != "" {
			s["minimum"], s["maximum"] = bound(tag.Get("min")), bound(tag.Get("max"))
		}
	default:
		s["type"] = "string"
		if pattern := patternOf(t, tag); pattern != "" {
			s["pattern"] = pattern
		}
	}
	return s
}

// patternOf returns what a text must look like.
func patternOf(t reflect.Type, tag reflect.StructTag) string {
	format, pattern := formats[tag.Get("format")], ""
	switch {
	case t == reflect.TypeFor[time.Duration]():
		pattern = `^([0-9]*\.?[0-9]+(ns|us|µs|ms|s|m|h|d|w))+$`
		if tag.Get("format") == "hold" {
			pattern += "|^never$"
		}
	case t == reflect.TypeFor[float64]():
		pattern = `^([1-9][0-9]?|100)%$`
	case t == reflect.TypeFor[fs.FileMode]():
		pattern = `^0*[0-7]{1,3}$`
	case format.pattern != nil:
		pattern = format.pattern.String()
	}
	return pattern
}

func mappingSchema(t reflect.Type) schema {
	properties := schema{}
	for key, f := range members(t) {
		s := schemaOf(f.Type, f.Tag)
		s["description"] = describe(f)
		if pattern := s["pattern"]; pattern != nil && !required(f, "") {
			s["pattern"] = fmt.Sprint("^$|", pattern) // an empty text stands for nothing
		}
		if f.Tag.Get("enum") != "" {
			s["enum"] = words(f, "enum")
		}
		if text := f.Tag.Get("default"); text != "" {
			value, _ := read(f.Type, f.Tag, text)
			s["default"] = written(reflect.ValueOf(value))
		}
		properties[key] = s
	}
	s := schema{"type": "object", "additionalProperties": false, "properties": properties}
	if keys := keysThat(t, func(f reflect.StructField) bool { return required(f, "") }); keys != nil {
		s["required"] = keys
	}
	if t == reflect.TypeFor[sourceKeys]() {
		s["allOf"] = sourceSchemas(t)
	}
	return s
}

// describe says what a key is, as far as no other word of the schema does.
func describe(f reflect.StructField) string {
	text := f.Tag.Get("doc")
	if f.Type == reflect.TypeFor[time.Duration]() {
		text += "; " + Limits(f)
	}
	if kinds := words(f, "for"); kinds != nil {
		text += " (" + strings.Join(kinds, ", ") + ")"
	}
	return text
}

// Limits says what a number or a duration may be; "" if all.
func Limits(f reflect.StructField) string {
	text := ""
	if f.Tag.Get("min") != "" {
		text = f.Tag.Get("min") + " to " + f.Tag.Get("max")
	}
	switch {
	case f.Type != reflect.TypeFor[time.Duration]():
	case f.Tag.Get("format") == "hold":
		text += ", 0s or never"
	case f.Tag.Get("format") == "wait":
		text += ", or 0s"
	}
	return text
}

// sourceSchemas say which keys a source of each type needs, and which it has not.
func sourceSchemas(t reflect.Type) (all []schema) {
	for _, kind := range kinds() {
		none := schema{}
		for _, key := range keysThat(t, func(f reflect.StructField) bool { return !isFor(f, kind) }) {
			none[key] = false
		}
		then := schema{"properties": none}
		if keys := keysThat(t, func(f reflect.StructField) bool { return slices.Contains(words(f, "required"), kind) }); keys != nil {
			then["required"] = keys
		}
		all = append(all, schema{"if": schema{"properties": schema{"type": schema{"const": kind}}}, "then": then})
	}
	return all
}

func keysThat(t reflect.Type, so func(reflect.StructField) bool) (keys []string) {
	for key, f := range members(t) {
		if so(f) {
			keys = append(keys, key)
		}
	}
	return keys
}
