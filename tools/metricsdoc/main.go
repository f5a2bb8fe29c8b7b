// Command metricsdoc writes docs/metrics.md, which says every series of /metrics: what the
// metrics register, and when to look at it.
package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/slotsync/slotsync/cmd/slotsync/daemon"
	"github.com/slotsync/slotsync/metrics"
)

func main() {
	if err := run("docs"); err != nil {
		fmt.Fprintln(os.Stderr, "metricsdoc:", err)
		os.Exit(1)
	}
}

// run writes the page into a folder.
func run(folder string) error {
	families, err := gather()
	if err != nil {
		return err
	}
	text, err := page(families)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "metrics.md"), text, 0o644)
}

// gather returns the series of an agent that has one of everything, without those of the Go
// runtime and the process.
func gather() ([]*dto.MetricFamily, error) {
	registry, m := daemon.NewMetrics("1.2.3")
	source, slots := metrics.SourceKey{Source: "consul", Proxy: "web"}, metrics.SlotsKey{HAProxy: "edge-1", Proxy: "web"}
	s := metrics.Snapshot{
		Instances: map[string]metrics.Instance{"edge-1": {}}, Proxies: map[string]metrics.Proxy{"web": {}},
		Sources: map[metrics.SourceKey]metrics.Source{source: {Answered: time.Unix(1, 0)}}, Slots: map[metrics.SlotsKey]metrics.Slots{slots: {}},
		Named: map[metrics.NamedSlot]bool{{Proxy: "web", Server: "web1", Address: "10.0.0.1:80", Name: "web-1"}: true},
	}
	m.Track(s)
	m.SnapshotFrom(func() (metrics.Snapshot, error) { return s, nil })
	all, err := registry.Gather()
	return slices.DeleteFunc(all, func(f *dto.MetricFamily) bool { return !strings.HasPrefix(f.GetName(), "slotsync_") }), err
}

const head = `# Every series of /metrics

This page is made of the source (` + "`go generate ./metrics`" + `). Names and labels stay ([versioning.md](versioning.md)). Each series of a counter is there from the start,
at 0. ` + "`haproxy`" + ` is the name of an instance in slotsync's configuration, ` + "`proxy`" + ` HAProxy's name of a backend, ` + "`source`" + ` the name of a source: so they join with
HAProxy's own exporter. A label with a closed list has its values behind it. Besides there are those of the Go runtime and the process (` + "`go_`, `process_`" + `).
Alerts and a dashboard: [examples/monitoring](../examples/monitoring).

`

// page returns the page about the series.
func page(families []*dto.MetricFamily) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(head)
	b.WriteString("| series | type | labels | what it says | when to look at it |\n|---|---|---|---|---|\n")
	advised := advice()
	for _, f := range families {
		look, ok := advised[f.GetName()]
		if !ok {
			return nil, fmt.Errorf("advice.go does not say when to look at %s", f.GetName())
		}
		delete(advised, f.GetName())
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), labels(f), f.GetHelp(), look)
	}
	for name := range advised {
		return nil, fmt.Errorf("advice.go says when to look at %s, which there is not", name)
	}
	return b.Bytes(), nil
}

// open are the labels whose values are the user's.
var open = []string{"haproxy", "proxy", "source", "server", "address", "name", "version", "goversion"}

// labels names those of a family, in the order in which they are written, with the values of
// those that have a closed list.
func labels(f *dto.MetricFamily) string {
	var names []string
	values := map[string][]string{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			if !slices.Contains(names, l.GetName()) {
				names = append(names, l.GetName())
			}
			if !slices.Contains(open, l.GetName()) && !slices.Contains(values[l.GetName()], l.GetValue()) {
				values[l.GetName()] = append(values[l.GetName()], l.GetValue())
			}
		}
	}
	words := make([]string, len(names))
	for i, name := range names {
		words[i] = "`" + name + "`"
		if list := values[name]; len(list) > 0 {
			words[i] += " (" + strings.Join(list, ", ") + ")"
		}
	}
	return cmp.Or(strings.Join(words, ", "), "-")
}
