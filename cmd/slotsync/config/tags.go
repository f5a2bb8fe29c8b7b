package config

import (
	"iter"
	"net/netip"
	"reflect"
	"slices"
	"strings"
)

// members yields the keys of a mapping and its fields, with those of the structs that are
// part of it. What a word stands for is no key.
func members(t reflect.Type) iter.Seq2[string, reflect.StructField] {
	return func(yield func(string, reflect.StructField) bool) {
		for _, f := range reflect.VisibleFields(t) {
			key := f.Tag.Get("yaml")
			if f.Anonymous || key == "-" || f.Tag.Get("word") != "" {
				continue
			}
			if !yield(key, f) {
				return
			}
		}
	}
}

func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for name, f := range members(t) {
		if name == key {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// A scalar is a value outside lists: one that the environment can override.
type scalar struct {
	path  string
	field reflect.StructField
}

// scalars returns all of a mapping at path.
func scalars(t reflect.Type, path string) (list []scalar) {
	for key, f := range members(t) {
		switch here := join(path, key); {
		case f.Type.Kind() == reflect.Slice:
		case IsMapping(f.Type):
			list = append(list, scalars(f.Type, here)...)
		default:
			list = append(list, scalar{here, f})
		}
	}
	return list
}

func words(f reflect.StructField, tag string) []string {
	if f.Tag.Get(tag) == "" {
		return nil
	}
	return strings.Split(f.Tag.Get(tag), ", ")
}

// isFor reports whether a key means something for a type of source; "" is none of them.
func isFor(f reflect.StructField, kind string) bool {
	kinds := words(f, "for")
	return kinds == nil || slices.Contains(kinds, kind)
}

// required reports whether a key must be there, where there is a type of source.
func required(f reflect.StructField, kind string) bool {
	need := words(f, "required")
	return slices.Contains(need, "always") || slices.Contains(need, kind)
}

// fallback returns what stands for a key that says nothing, for a type of source, as a
// text; "" if nothing does.
func fallback(f reflect.StructField, kind string) string {
	if text := f.Tag.Get(kind); kind != "" && text != "" {
		return text
	}
	return f.Tag.Get("default")
}

// IsMapping reports whether a type stands for keys and values.
func IsMapping(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[netip.Prefix]()
}

// wordOf returns the word that may stand in place of a mapping; "" if none may.
func wordOf(t reflect.Type) string {
	for f := range t.Fields() {
		if word := f.Tag.Get("word"); word != "" {
			return word
		}
	}
	return ""
}
