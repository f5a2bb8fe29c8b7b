package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
)

const head = `# Every key of slotsync.yaml

This page is made of the source (` + "`go generate ./cmd/slotsync/config`" + `). ` + "`slotsync config schema`" + ` prints the same
as a JSON Schema, for editors: [slotsync.schema.json](slotsync.schema.json). ` + "`slotsync check`" + ` names every fault of a file with
its line, ` + "`slotsync config --origins`" + ` shows what is in force and where each value is from. Whole files: [examples](../examples).

A key outside lists can be overridden by a variable of the environment: ` + "`http.listen`" + ` by ` + "`SLOTSYNC_HTTP_LISTEN`" + `,
` + "`guard.window`" + ` by ` + "`SLOTSYNC_GUARD_WINDOW`" + `, and so on. What the tools of Consul and Nomad look for in the environment is used
where a source says nothing. A duration has a unit, as in 500ms, 30s, 5m, 12h or 7d. A list is in square brackets or has an entry a line. *For* says which types of source have a key.
`

// A section is one mapping, or a part of several, and where it stands.
type section struct {
	of    reflect.Type
	paths []string
}

// page returns the page about the file.
func page(file reflect.Type) []byte {
	var b bytes.Buffer
	b.WriteString(head)
	for _, s := range collect(file, "", nil) {
		fmt.Fprintf(&b, "\n## %s\n\n", title(s))
		b.WriteString("| key | what it is | type | default | range | for |\n|---|---|---|---|---|---|\n")
		for f := range s.of.Fields() {
			if key := f.Tag.Get("yaml"); key != "" && key != "-" && f.Tag.Get("word") == "" {
				writeRow(&b, key, f)
			}
		}
	}
	return b.Bytes()
}

// collect adds the mappings of t, which stands at path, to the list: each once, outer ones
// first.
func collect(t reflect.Type, path string, list []section) []section {
	at := slices.IndexFunc(list, func(s section) bool { return s.of == t })
	if at < 0 {
		at = len(list)
		list = append(list, section{of: t})
	}
	list[at].paths = append(list[at].paths, path)
	for f := range t.Fields() {
		here := strings.TrimPrefix(path+"."+f.Tag.Get("yaml"), ".")
		switch {
		case f.Anonymous:
			list = collect(f.Type, path, list)
		case config.IsMapping(f.Type):
			list = collect(f.Type, here, list)
		case f.Type.Kind() == reflect.Slice && config.IsMapping(f.Type.Elem()):
			list = collect(f.Type.Elem(), here+"[]", list)
		}
	}
	return list
}

func title(s section) string {
	if s.paths[0] == "" {
		return "The file"
	}
	return strings.Join(s.paths, ", ")
}

func writeRow(b *bytes.Buffer, key string, f reflect.StructField) {
	required := f.Tag.Get("required")
	fallback := cmp.Or(f.Tag.Get("default"), map[bool]string{true: "*required*"}[required != ""])
	for _, kind := range []string{"consul", "nomad"} {
		if text := f.Tag.Get(kind); text != "" {
			fallback = strings.TrimPrefix(fallback+", "+text+" ("+kind+")", ", ")
		}
	}
	if required != "" && required != "always" && required != f.Tag.Get("for") {
		fallback = "*required* (" + required + ")"
	}
	limits := cmp.Or(f.Tag.Get("enum"), config.Limits(f))
	if f.Tag.Get("empty") == "none" {
		limits = `"": none`
	}
	cells := []string{"`" + key + "`", f.Tag.Get("doc"), kind(f), fallback, limits, f.Tag.Get("for")}
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

// kind says what a value of the field is.
func kind(f reflect.StructField) string {
	t, of := f.Type, ""
	if t.Kind() == reflect.Slice {
		t, of = t.Elem(), "list of "
	}
	switch {
	case config.IsMapping(t):
		return map[string]string{"": "mapping", "list of ": "list of mappings"}[of]
	case t == reflect.TypeFor[netip.Prefix]():
		return of + "networks"
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t == reflect.TypeFor[fs.FileMode]():
		return "mode"
	case t.Kind() == reflect.Float64:
		return "share, 1% to 100%"
	case t.Kind() == reflect.Bool:
		return "true, false"
	case t.Kind() == reflect.Int:
		return "number"
	case of != "":
		return of + "texts"
	}
	return "text"
}
