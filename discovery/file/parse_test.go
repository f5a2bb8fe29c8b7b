package file

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/discovery"
)

// told says of items what counts, one line each.
func told(items []item) []string {
	out := []string{}
	for _, i := range items {
		if i.reason != "" {
			out = append(out, i.service+" "+i.reason+" "+i.target)
			continue
		}
		line := i.service + " " + i.endpoint.String()
		if i.endpoint.Weight > 0 {
			line += fmt.Sprint(" weight ", i.endpoint.Weight)
		}
		if i.endpoint.Name != "" {
			line += " " + i.endpoint.Name
		}
		out = append(out, line)
	}
	return out
}

func TestParse(t *testing.T) {
	tests := []struct {
		name, file, text string
		want             []string
	}{
		{"nothing, and it says so", "web.yaml", "[]", []string{}},
		{"a group without labels is of the file's name", "web.yaml", "- targets: [10.0.0.1:80, '10.0.0.2:80']", []string{"web 10.0.0.1:80", "web 10.0.0.2:80"}},
		{"the label service", "web.yml", "- targets: [10.0.0.1:80]\n  labels: {service: api}", []string{"api 10.0.0.1:80"}},
		{"labels that mean something", "web.yaml", "- targets: ['[2001:db8::1]:80']\n  labels:\n    weight: '10'\n    name: web-1\n    zone: b\n    __meta_x: y",
			[]string{"web [2001:db8::1]:80 weight 10 web-1"}},
		{"a weight that is a number", "web.yaml", "- targets: [10.0.0.1:80]\n  labels: {weight: 65535}", []string{"web 10.0.0.1:80 weight 65535"}},
		{"weight 0 drains", "web.yaml", "- targets: [10.0.0.1:80]\n  labels: {weight: 0}", []string{"web 10.0.0.1:80 (drain)"}},
		{"no targets", "web.yaml", "- targets: []\n- targets: []\n  labels: {}", []string{}},
		{"JSON", "web.json", `[{"targets":["10.0.0.1:80"],"labels":{"name":"a\/b 😀","weight":"3"}}]`, []string{"web 10.0.0.1:80 weight 3 a/b 😀"}},
		{"JSON in a YAML file", "web.yaml", `[{"targets":["10.0.0.1:80"]}]`, []string{"web 10.0.0.1:80"}},
		{"what cannot be an endpoint is refused alone", "web.yaml",
			"- targets: [web.example.org:80, 10.0.0.1, '10.0.0.1:0', '10.0.0.1:65536', '10.0.0.1:+80', '169.254.169.254:80', '0.0.0.0:80', '[fe80::1%eth0]:80', '', 80, 10.0.0.9:80]",
			[]string{"web bad_address web.example.org:80", "web bad_address 10.0.0.1", "web bad_port 10.0.0.1:0", "web bad_port 10.0.0.1:65536",
				"web bad_port 10.0.0.1:+80", "web link_local 169.254.169.254:80", "web unspecified 0.0.0.0:80", "web bad_address [fe80::1%eth0]:80",
				"web bad_address ", "web bad_address 80", "web 10.0.0.9:80"}},
		{"commands for HAProxy", "web.json", `[{"targets":["10.0.0.1:80\nset server b/s state maint"],"labels":{"name":"a\u001b[2Jb\nc"}},{"targets":["10.0.0.2:80"],"labels":{"name":"a\u001b[2Jb\nc"}}]`,
			[]string{"web bad_port 10.0.0.1:80.set server b/s state maint", "web 10.0.0.2:80 a.[2Jb.c"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			items, err := parse(test.file, []byte(test.text))
			if got := told(items); err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %q, %v\nwant %q", got, err, test.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	const good = "- targets: [10.0.0.1:80]\n"
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	tests := []struct{ name, file, text, want string }{
		{"an empty file", "web.yaml", "", "empty"},
		{"blanks alone", "web.json", " \n", "empty"},
		{"comments alone", "web.yaml", "# nothing\n", "empty"},
		{"null", "web.yaml", "null", "not a list"},
		{"null in JSON", "web.json", "null", "not a list"},
		{"one group alone", "web.yaml", "targets: [10.0.0.1:80]", "not a list"},
		{"a group that is null", "web.yaml", good + "- null", "line 2: a group"},
		{"a group that is empty", "web.yaml", good + "-", "line 2: a group"},
		{"a group that is a target", "web.yaml", "- 10.0.0.1:80", "keys and values"},
		{"an unknown key", "web.yaml", good + "  label: {}", `"label"`},
		{"a key twice", "web.yaml", good + "  targets: []", "twice"},
		{"a label twice", "web.json", `[{"targets":[],"labels":{"a":"1","a":"2"}}]`, "twice"},
		{"no targets", "web.yaml", "- labels: {a: b}", "no list of targets"},
		{"targets that are null", "web.yaml", "- targets:", "no list of targets"},
		{"one target alone", "web.yaml", "- targets: 10.0.0.1:80", "no list of targets"},
		{"a target that is null", "web.json", "[{\"targets\":[\n null]}]", "line 2: a target"},
		{"a target that is a list", "web.yaml", "- targets: [[10.0.0.1:80]]", "a target"},
		{"labels that are a list", "web.yaml", good + "  labels: [a]", "labels"},
		{"labels that are null", "web.yaml", good + "  labels:", "labels"},
		{"a label that is null", "web.yaml", good + "  labels: {weight: }", "label weight"},
		{"a weight too large", "web.yaml", good + "  labels: {weight: 65536}", `line 2: weight "65536"`},
		{"a weight below 0", "web.yaml", good + "  labels: {weight: '-1'}", `weight "-1"`},
		{"a weight that is none", "web.yaml", good + "  labels: {weight: heavy}", `weight "heavy"`},
		{"a long label", "web.yaml", good + "  labels: {name: " + strings.Repeat("x", 2000) + "}", "longer"},
		{"anchors", "web.yaml", "- &a {targets: []}\n- *a", "a group"},
		{"tags", "web.yaml", "- targets: [!!binary MTAuMC4wLjE6ODA=]", "a target"},
		{"merged keys", "web.yaml", "- targets: []\n  <<: {labels: {}}", `"<<"`},
		{"a second document", "web.yaml", good + "---\n" + good, "second document"},
		{"half a list", "web.yaml", "- targets: [10.0.0.1:80", "line 1"},
		{"YAML in a JSON file", "web.json", good, "line 1"},
		{"half of a JSON file", "web.json", "[\n{\"targets\":[", "line 2"},
		{"two lists", "web.json", "[] []", "line 1"},
		{"HTML", "web.yaml", "<html><body>Sign in", "not a list"},
		{"what is nested too deep", "web.json", deep, "levels"},
		{"what is nested too deep in YAML", "web.yaml", deep, "keys and values"},
		{"zeros", "web.yaml", strings.Repeat("\x00", 100), "control characters"},
		{"more targets than can be", "web.json", `[{"targets":["` + strings.Repeat(`1.1.1.1:1","`, maxItems) + `1.1.1.1:1"]}]`, "targets"},
		{"more parts than can be", "web.json", `[` + strings.Repeat(`0,`, maxNodes) + `0]`, "parts"},
		{"more parts than can be in YAML", "web.yaml", strings.Repeat("-\n", maxNodes), "parts"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			items, err := parse(test.file, []byte(test.text))
			if err == nil || items != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %d items, %v; want %q", len(items), err, test.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"[]", "- targets: [10.0.0.1:80]\n  labels: {service: web, weight: 3, name: a}", "- targets:\n  - '[2001:db8::1]:80'\n",
		`[{"targets":["10.0.0.1:80"],"labels":{"weight":"0","name":"\ud83d\ude00\/"}}]`, "null", "- &a {}\n- *a", "---\n---\n", "- targets: !!set {a}",
		"? [a]\n: b", "\xff\xfe-\x00", "- targets: [\"\\x0a\"]",
	} {
		f.Add(text, true)
		f.Add(text, false)
	}
	f.Fuzz(func(t *testing.T, text string, json bool) {
		name := "web.yaml"
		if json {
			name = "web.json"
		}
		items, err := parse(name, []byte(text))
		if err != nil && items != nil {
			t.Fatalf("%v with %d items", err, len(items))
		}
		for _, i := range items {
			known := i.reason == "" || slices.Contains(discovery.Reasons[:], i.reason)
			fit := i.reason != "" || discovery.Check(i.endpoint.Addr) == "" && i.endpoint.Addr != netip.AddrPort{}
			plain := discovery.Printable(i.target, 100) == i.target || len([]rune(i.target)) == 101
			if !known || !fit || !plain || i.endpoint.Weight < 0 || i.endpoint.Weight > maxWeight {
				t.Fatalf("%q became %+v", text, i)
			}
		}
	})
}
