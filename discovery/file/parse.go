package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/slotsync/slotsync/discovery"
)

const (
	maxItems  = 10 * discovery.MaxEndpoints // targets of one file, which may hold many services
	maxNodes  = 1 << 20                     // of what a file is made of, for each takes much more memory than its text
	maxLabel  = 1 << 10                     // bytes of a label's value
	maxWeight = 65535
)

// An item is one target: an endpoint, or why it is none.
type item struct {
	service  string
	endpoint discovery.Endpoint
	reason   string // one of [discovery.Reasons]; empty: it is one
	target   string // as it was written, for people
}

// parse returns what the file of that name holds. Of a file that is not what it
// should be nothing is taken: its author meant something else.
func parse(name string, raw []byte) ([]item, error) {
	ext := filepath.Ext(name)
	tree := treeOfYAML
	if ext == ".json" {
		tree = treeOfJSON
	}
	if parts(raw) > maxNodes {
		return nil, fmt.Errorf("it has more than %d parts", maxNodes)
	}
	root, err := tree(raw)
	if err != nil {
		return nil, err
	}
	if root.Kind != yaml.SequenceNode {
		return nil, fault(root, "it is not a list of groups")
	}
	p := parser{service: strings.TrimSuffix(name, ext), items: []item{}}
	for _, n := range root.Content {
		if err := p.group(n); err != nil {
			return nil, err
		}
	}
	return p.items, nil
}

// treeOfYAML returns the one document in raw.
func treeOfYAML(raw []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	var root, next yaml.Node
	err := dec.Decode(&root)
	if errors.Is(err, io.EOF) {
		return nil, errEmpty
	}
	if err != nil {
		return nil, syntax(err)
	}
	switch err := dec.Decode(&next); {
	case err == nil:
		return nil, fault(&next, "a second document begins")
	case !errors.Is(err, io.EOF):
		return nil, syntax(err)
	}
	return root.Content[0], nil
}

// errEmpty is what a file is that somebody has just begun to write.
var errEmpty = errors.New("it is empty; a file that says that there is nothing holds []")

// parts returns no less than the number of nodes in a text.
func parts(raw []byte) int {
	n := 0
	for _, b := range raw {
		switch b {
		case '\n', '\r', ',', '[', '{', ':', '-', '?':
			n++
		}
	}
	return n
}

func syntax(err error) error {
	return fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "yaml: "))
}

func fault(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("line %d: %s", max(n.Line, 1), fmt.Sprintf(format, args...))
}

// A parser goes through the groups of one file.
type parser struct {
	service string // of groups that name none
	items   []item
}

func (p *parser) group(n *yaml.Node) error {
	members, err := mapping(n, "a group")
	if err != nil {
		return err
	}
	for key := range members {
		if key != "targets" && key != "labels" {
			return fault(n, "a group has targets and labels, not %q", shown(key))
		}
	}
	targets := members["targets"]
	if targets == nil || targets.Kind != yaml.SequenceNode || decorated(targets) {
		return fault(n, "a group has no list of targets")
	}
	l, err := p.labels(members["labels"])
	if err != nil {
		return err
	}
	for _, t := range targets.Content {
		text, err := scalar(t, "a target")
		if err != nil {
			return err
		}
		if len(p.items) == maxItems {
			return fault(t, "more than %d targets", maxItems)
		}
		p.items = append(p.items, l.item(text))
	}
	return nil
}

// labels are those that mean something.
type labels struct {
	service, name string
	weight        int // -1: none
}

func (p *parser) labels(n *yaml.Node) (labels, error) {
	l := labels{service: p.service, weight: -1}
	if n == nil {
		return l, nil
	}
	members, err := mapping(n, "labels")
	if err != nil {
		return l, err
	}
	for key, value := range members {
		text, err := scalar(value, "label "+shown(key))
		if err != nil {
			return l, err
		}
		switch key {
		case "service":
			l.service = text
		case "name":
			l.name = discovery.Printable(text, 100)
		case "weight":
			if l.weight, err = weight(text); err != nil {
				return l, fault(value, "%s", err)
			}
		}
	}
	return l, nil
}

var decimal = regexp.MustCompile(`^[0-9]{1,5}$`)

func weight(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n > maxWeight || !decimal.MatchString(text) {
		return 0, fmt.Errorf("weight %q is not within 0 and %d", shown(text), maxWeight)
	}
	return n, nil
}

func (l labels) item(target string) item {
	out := item{service: l.service, target: discovery.Printable(target, 100)}
	host, text, err := net.SplitHostPort(target)
	if err != nil {
		out.reason = discovery.BadAddress
		return out
	}
	port := 0
	if decimal.MatchString(text) {
		port, _ = strconv.Atoi(text) // five digits
	}
	e := discovery.Endpoint{Name: l.name, Weight: max(l.weight, 0)}
	if e.Addr, out.reason = discovery.Parse(host, port); out.reason != "" {
		return out
	}
	if l.weight == 0 {
		e.State, e.Reason = discovery.Drain, "weight 0"
	}
	out.endpoint = e
	return out
}

// mapping returns the members of n, which is there once under each key.
func mapping(n *yaml.Node, what string) (map[string]*yaml.Node, error) {
	if n.Kind != yaml.MappingNode || decorated(n) {
		return nil, fault(n, "%s: keys and values are wanted", what)
	}
	members := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, err := scalar(n.Content[i], "a key")
		if err != nil {
			return nil, err
		}
		if members[key] != nil {
			return nil, fault(n.Content[i], "key %q is there twice", shown(key))
		}
		members[key] = n.Content[i+1]
	}
	return members, nil
}

// scalar returns the text of n. Numbers and truths are as good as strings: weight:
// 10 is what people write.
func scalar(n *yaml.Node, what string) (string, error) {
	switch {
	case n.Kind != yaml.ScalarNode || decorated(n) || n.ShortTag() == "!!null":
		return "", fault(n, "%s: a string is wanted", what)
	case len(n.Value) > maxLabel:
		return "", fault(n, "%s is longer than %d bytes", what, maxLabel)
	}
	return n.Value, nil
}

// decorated says whether n is more than its text: anchors, aliases and tags are
// not part of the format.
func decorated(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0
}

func shown(s string) string { return discovery.Printable(s, 60) }
