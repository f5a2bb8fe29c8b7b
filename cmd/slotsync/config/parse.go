package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
)

// maxConfig bounds the configuration, in bytes.
const maxConfig = 1 << 20

// A document is what a file said: plain values in the shape of the schema, and
// for each path, as in "backends[2].guard.window", where it stands. Without
// values it was not legible at all.
type document struct {
	values map[string]any
	places map[string]place
}

// parseYAML reads YAML or JSON against the schema. It returns all it could read
// and all that is wrong with the form.
func parseYAML(data []byte) (document, []fault) {
	p := parser{places: map[string]place{"": {line: 1, col: 1}}}
	doc := document{places: p.places}
	if len(data) > maxConfig {
		p.add(place{line: 1, col: 1}, "", "the configuration is larger than 1 MiB")
		return doc, p.faults
	}
	dec := yaml.NewDecoder(bytes.NewReader(plainSlashes(data)))
	var root yaml.Node
	err := dec.Decode(&root)
	if err != nil && !errors.Is(err, io.EOF) {
		p.add(syntaxPlace(err), "", "%s", syntaxText(err))
		return doc, p.faults
	}
	doc.values = map[string]any{}
	if err != nil {
		return doc, nil
	}
	if values, ok := p.value(root.Content[0], reflect.TypeFor[rawConfig](), "").(map[string]any); ok {
		doc.values = values
	}
	p.end(dec)
	return doc, p.faults
}

// plainSlashes writes / for the \/ of JSON, the one escape that YAML lacks.
func plainSlashes(data []byte) []byte {
	if !bytes.Contains(data, []byte(`\/`)) || !json.Valid(data) {
		return data
	}
	return regexp.MustCompile(`\\.`).ReplaceAllFunc(data, func(escape []byte) []byte {
		if escape[1] == '/' {
			return escape[1:]
		}
		return escape
	})
}

// A parser collects places and faults on its way through the nodes.
type parser struct {
	places map[string]place
	faults []fault
}

func (p *parser) add(at place, path, format string, args ...any) {
	p.faults = append(p.faults, fault{place: at, path: path, message: label(path) + fmt.Sprintf(format, args...)})
}

// addBeside reports a key of path that is none, and hides no other fault of path.
func (p *parser) addBeside(at place, path, key, format string, args ...any) {
	p.faults = append(p.faults, fault{place: at, path: join(path, textfmt.Clip(key)), message: label(path) + fmt.Sprintf(format, args...)})
}

// end makes sure that nothing follows the first document.
func (p *parser) end(dec *yaml.Decoder) {
	var next yaml.Node
	switch err := dec.Decode(&next); {
	case errors.Is(err, io.EOF):
	case err != nil:
		p.add(syntaxPlace(err), "", "%s", syntaxText(err))
	default:
		p.add(nodePlace(&next), "", "a second document starts here: the configuration is one document")
	}
}

// value returns n as plain Go values of the shape of t; nil where there is
// nothing or nothing usable.
func (p *parser) value(n *yaml.Node, t reflect.Type, path string) any {
	p.places[path] = nodePlace(n)
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		p.add(nodePlace(n), path, "anchors and aliases (& and *) are not supported: write the value out")
		return nil
	case n.Style&yaml.TaggedStyle != 0:
		p.add(nodePlace(n), path, "tags such as %s are not supported", textfmt.Clip(n.Tag))
		return nil
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		if kind := t.Kind(); kind == reflect.Int || kind == reflect.Bool {
			p.add(nodePlace(n), path, "missing value: wants %s", wanted(kind))
		}
		return nil
	}
	switch t.Kind() {
	case reflect.Struct:
		if t == reflect.TypeFor[rawReload]() && n.Kind == yaml.ScalarNode && n.Value == "none" {
			return map[string]any{"none": true}
		}
		return p.mapping(n, t, path)
	case reflect.Slice:
		return p.sequence(n, t.Elem(), path)
	}
	return p.scalar(n, t.Kind(), path)
}

func (p *parser) mapping(n *yaml.Node, t reflect.Type, path string) any {
	if n.Kind != yaml.MappingNode {
		p.add(nodePlace(n), path, "wants keys and values, not %s", kindOf(n))
		return nil
	}
	known := maps.Collect(members(t))
	values, seen := map[string]any{}, map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name := key.Value
		if key.Kind != yaml.ScalarNode {
			p.addBeside(nodePlace(key), path, "?", "a key must be a word")
			continue
		}
		if line := seen[name]; line > 0 {
			p.add(nodePlace(key), path, "key %q is there twice, first in line %d", textfmt.Clip(name), line)
			continue
		}
		seen[name] = key.Line
		f, ok := known[name]
		if !ok {
			p.addBeside(nodePlace(key), path, name, "unknown key %q%s", textfmt.Clip(name), textfmt.DidYouMean(name, slices.Sorted(maps.Keys(known))))
			continue
		}
		if v := p.field(value, f, join(path, name)); v != nil {
			values[name] = v
		}
	}
	return values
}

// field returns the value of a key. A number that lacks its unit is returned as a text.
func (p *parser) field(n *yaml.Node, f reflect.StructField, path string) any {
	if tag := n.ShortTag(); f.Tag.Get("number") == "unit" && n.Kind == yaml.ScalarNode && n.Style == 0 && n.Anchor == "" &&
		(tag == "!!int" || tag == "!!float") {
		p.places[path] = nodePlace(n)
		return n.Value
	}
	return p.value(n, f.Type, path)
}

func (p *parser) sequence(n *yaml.Node, elem reflect.Type, path string) any {
	if n.Kind != yaml.SequenceNode {
		p.add(nodePlace(n), path, "wants a list, not %s", kindOf(n))
		return nil
	}
	list := make([]any, 0, len(n.Content))
	for i, item := range n.Content {
		here := fmt.Sprintf("%s[%d]", path, i)
		if v := p.value(item, elem, here); v != nil {
			list = append(list, v)
			continue
		}
		if item.Kind == yaml.ScalarNode && item.ShortTag() == "!!null" {
			p.add(nodePlace(item), here, "an entry of the list is empty")
		}
		// The place in the list is kept: what follows refers to it by index.
		list = append(list, reflect.Zero(placeholder(elem)).Interface())
	}
	return list
}

// placeholder is what stands for an entry of a list that could not be read.
func placeholder(elem reflect.Type) reflect.Type {
	if elem.Kind() == reflect.Struct {
		return reflect.TypeFor[map[string]any]()
	}
	return elem
}

func (p *parser) scalar(n *yaml.Node, kind reflect.Kind, path string) any {
	if n.Kind != yaml.ScalarNode {
		p.add(nodePlace(n), path, "wants %s, not %s", wanted(kind), kindOf(n))
		return nil
	}
	v, ok := scalarOf(kind, n.ShortTag(), n.Value)
	if !ok {
		hint := ""
		if kind == reflect.String {
			hint = fmt.Sprintf(": write %q", textfmt.Clip(n.Value))
		}
		p.add(nodePlace(n), path, "wants %s, not %s%s", wanted(kind), kindOf(n), hint)
		return nil
	}
	return v
}

// scalarOf returns text, which has a YAML tag, as a value of the kind.
func scalarOf(kind reflect.Kind, tag, text string) (any, bool) {
	switch {
	case kind == reflect.String && tag == "!!str":
		return text, true
	case kind == reflect.Bool && tag == "!!bool":
		return text[0] == 't' || text[0] == 'T', true
	case kind == reflect.Int && tag == "!!int":
		i, err := strconv.Atoi(text)
		return i, err == nil
	}
	return nil, false
}

func wanted(kind reflect.Kind) string {
	switch kind {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	}
	return "a string"
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "the number " + textfmt.Clip(n.Value)
	case "!!bool":
		return n.Value
	case "!!timestamp":
		return "a date"
	}
	return fmt.Sprintf("the string %q", textfmt.Clip(n.Value))
}

func nodePlace(n *yaml.Node) place { return place{line: max(n.Line, 1), col: max(n.Column, 1)} }

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// label is how a message names the path that it is about.
func label(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}

// syntaxPlace finds the line in an error of the YAML parser, which names it in
// its text alone.
func syntaxPlace(err error) place {
	m := regexp.MustCompile(`line (\d+)`).FindStringSubmatch(err.Error())
	if m == nil {
		return place{line: 1, col: 1}
	}
	line, _ := strconv.Atoi(m[1])
	return place{line: max(line, 1), col: 1}
}

func syntaxText(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = regexp.MustCompile(`^line \d+: `).ReplaceAllString(text, "")
	return "not YAML or JSON: " + discovery.Printable(text, 200)
}
