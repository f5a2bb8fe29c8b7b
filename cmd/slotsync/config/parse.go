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
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
)

// maxConfig bounds the configuration, in bytes.
const maxConfig = 1 << 20

// A document is what a file said: values in the shape and of the types of [rootKeys], and
// for each path, as in "backends[2].guard.window", where it stands. Without
// values it was not legible at all.
type document struct {
	values map[string]any
	places map[string]place
	// unset are the paths that say nothing, or nothing usable.
	unset map[string]bool
}

// parseYAML reads YAML or JSON against the schema. It returns all it could read
// and all that is wrong with the form.
func parseYAML(data []byte) (document, []fault) {
	p := parser{places: map[string]place{"": {line: 1, col: 1}}, unset: map[string]bool{}}
	doc := document{places: p.places, unset: p.unset}
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
	if values, ok := p.value(root.Content[0], File(), "", "").(map[string]any); ok {
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
	unset  map[string]bool
	faults []fault
}

func (p *parser) add(at place, path, format string, args ...any) {
	p.faults = append(p.faults, newFault(at, path, format, args...))
}

// addBeside reports a key of path that is none, and hides no other fault of path.
func (p *parser) addBeside(at place, path, key, format string, args ...any) {
	f := newFault(at, path, format, args...)
	f.path = join(path, textfmt.Clip(key))
	p.faults = append(p.faults, f)
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

// value returns n as a value for the type t, or of mappings and lists what becomes one;
// nil where there is nothing or nothing usable.
func (p *parser) value(n *yaml.Node, t reflect.Type, tag reflect.StructTag, path string) any {
	p.places[path] = nodePlace(n)
	v := p.usable(n, t, tag, path)
	p.unset[path] = v == nil
	return v
}

func (p *parser) usable(n *yaml.Node, t reflect.Type, tag reflect.StructTag, path string) any {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		p.add(nodePlace(n), path, "anchors and aliases (& and *) are not supported: write the value out")
		return nil
	case n.Style&yaml.TaggedStyle != 0:
		p.add(nodePlace(n), path, "tags such as %s are not supported", textfmt.Clip(n.Tag))
		return nil
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		if kind := t.Kind(); kind == reflect.Int || kind == reflect.Bool {
			p.add(nodePlace(n), path, "missing value: wants %s", wants(t))
		}
		return nil
	case IsMapping(t):
		if word := wordOf(t); n.Kind == yaml.ScalarNode && word != "" && n.Value == word {
			return map[string]any{word: true}
		}
		return p.mapping(n, t, path)
	case t.Kind() == reflect.Slice:
		return p.sequence(n, t.Elem(), path)
	}
	return p.scalar(n, t, tag, path)
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
		if v := p.value(value, f.Type, f.Tag, join(path, name)); v != nil {
			values[name] = v
		}
	}
	return values
}

func (p *parser) sequence(n *yaml.Node, elem reflect.Type, path string) any {
	if n.Kind != yaml.SequenceNode {
		p.add(nodePlace(n), path, "wants a list, not %s", kindOf(n))
		return nil
	}
	list := make([]any, 0, len(n.Content))
	for i, item := range n.Content {
		here := fmt.Sprintf("%s[%d]", path, i)
		if v := p.value(item, elem, "", here); v != nil {
			list = append(list, v)
			continue
		}
		if item.Kind == yaml.ScalarNode && item.ShortTag() == "!!null" {
			p.add(nodePlace(item), here, "an entry of the list is empty")
		}
		// The place in the list is kept where what follows refers to it by index.
		switch {
		case IsMapping(elem):
			list = append(list, map[string]any{})
		case elem.Kind() == reflect.String:
			list = append(list, "")
		}
	}
	return list
}

func (p *parser) scalar(n *yaml.Node, t reflect.Type, tag reflect.StructTag, path string) any {
	is := n.ShortTag()
	number := is == "!!int" || is == "!!float"
	fits, hint := is == "!!str", fmt.Sprintf(": write %q", textfmt.Clip(n.Value))
	switch {
	case t == reflect.TypeFor[time.Duration]() || t == reflect.TypeFor[float64](): // one without its unit is refused with the unit that it may have
		fits, hint = fits || number, ""
	case t.Kind() == reflect.Bool:
		fits, hint = is == "!!bool", ""
	case t.Kind() == reflect.Int:
		_, err := strconv.Atoi(n.Value)
		fits, hint = is == "!!int" && err == nil, ""
	case n.Kind != yaml.ScalarNode:
		hint = ""
	}
	if n.Kind != yaml.ScalarNode || !fits {
		p.add(nodePlace(n), path, "wants %s, not %s%s", wants(t), kindOf(n), hint)
		return nil
	}
	v, err := read(t, tag, n.Value)
	if err != nil {
		p.add(nodePlace(n), path, "%s", err)
	}
	return v
}

// wants says what a value of the type looks like.
func wants(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration, as in 30s"
	case t == reflect.TypeFor[float64]():
		return "a share, as in 50%"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
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
