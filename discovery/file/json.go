package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// maxDepth is far more than groups have.
const maxDepth = 100

// treeOfJSON returns raw as the same tree that YAML makes, so that both formats share one
// parser, and every fault its line. The YAML decoder itself cannot read it: it refuses the
// pairs of \u escapes that json.dumps of Python writes for an emoji in a label, and accepts
// much that is no JSON.
func treeOfJSON(raw []byte) (*yaml.Node, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, errEmpty
	}
	var whole json.RawMessage
	if err := json.Unmarshal(raw, &whole); err != nil {
		if e, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, fmt.Errorf("line %d: %w", 1+bytes.Count(raw[:min(int(e.Offset), len(raw))], []byte("\n")), err)
		}
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	b := builder{raw: raw, dec: dec}
	return b.node(0)
}

// A builder makes nodes of the tokens of a JSON text that is known to be one.
type builder struct {
	raw    []byte
	dec    *json.Decoder
	line   int
	offset int // to which line has counted
}

func (b *builder) node(depth int) (*yaml.Node, error) {
	token, err := b.dec.Token()
	if err != nil {
		return nil, err
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: b.here()}
	if depth > maxDepth {
		return nil, fault(n, "more than %d levels", maxDepth)
	}
	switch v := token.(type) {
	case json.Delim:
		n.Kind = yaml.SequenceNode
		if v == '{' {
			n.Kind = yaml.MappingNode
		}
		return n, b.content(n, depth+1)
	case string:
		n.Tag, n.Value = "!!str", v
	case json.Number:
		n.Tag, n.Value = "!!float", v.String()
	case bool:
		n.Tag, n.Value = "!!bool", fmt.Sprint(v)
	default:
		n.Tag, n.Value = "!!null", "null"
	}
	return n, nil
}

func (b *builder) content(n *yaml.Node, depth int) error {
	for b.dec.More() {
		child, err := b.node(depth)
		if err != nil {
			return err
		}
		n.Content = append(n.Content, child)
	}
	_, err := b.dec.Token()
	return err
}

// here returns the line that the decoder has come to.
func (b *builder) here() int {
	at := int(b.dec.InputOffset())
	b.line += bytes.Count(b.raw[b.offset:at], []byte("\n"))
	b.offset = at
	return b.line + 1
}
