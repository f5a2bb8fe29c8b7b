package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

const (
	// Each scrape counts as scrapeStep for the rules, whatever time it took, so that an alert that waits for 2 h comes
	// within seconds. What a series says in seconds is stretched by as much.
	scrapeEvery = 40 * time.Millisecond
	scrapeStep  = 30 * time.Second
	stretch     = float64(scrapeStep / scrapeEvery)
	// slack is how many scrapes there are beyond those that an alert waits for.
	slack = 4
)

// A monitored is a slotsync over real HAProxies, and what was scraped of it.
type monitored struct {
	t        *testing.T
	dir      string
	config   string
	edges    []*haproxytest.Process
	agent    *exec.Cmd
	client   http.Client
	samples  []map[string]string // by series, one for each scrape
	exposed  string              // the last answer
	cleanups []func()
}

// alertConfig is the configuration; %s are what backends have besides, and what else there is.
const alertConfig = `haproxy:
  poll: 100ms
  resync: 200ms
  instances:
%s
sources: [{name: files, type: file, path: %s/endpoints/*.yaml}]
backends: [{name: web, slots: web, source: files%s}]
http: {listen: "", socket: %[2]s/api, audit: %[2]s/audit/log}
state_dir: %[2]s/state
%[4]s
`

// newMonitored starts HAProxies with so many slots each, and slotsync, which has put 3 endpoints into them.
func newMonitored(t *testing.T, backend, more string, slots ...int) *monitored {
	t.Helper()
	dir, err := os.MkdirTemp("", "ss") // paths of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	m := &monitored{t: t, dir: dir, config: filepath.Join(dir, "slotsync.yaml")}
	t.Cleanup(m.stop)
	m.connect()
	for _, folder := range []string{"endpoints", "servers", "state", "audit"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var instances strings.Builder
	for i, n := range slots {
		p := haproxytest.Start(t, haproxytest.Config{Version: "3.2", Master: true, Text: fmt.Sprintf(alertEdge, n)})
		m.edges = append(m.edges, p)
		fmt.Fprintf(&instances, "    - {name: edge-%d, socket: %s, state_file: \"%s/servers/%d-{backend}\"}\n", i+1, p.Socket, dir, i)
	}
	more = strings.NewReplacer("$DIR", dir, "$MASTER", m.edges[0].Master, "$FILE", m.edges[0].File()).Replace(more)
	m.write("slotsync.yaml", fmt.Sprintf(alertConfig, instances.String(), dir, backend, more))
	m.list("web", 1, 2, 3)
	m.start()
	m.until(`slotsync_slots{haproxy="edge-1",proxy="web",state="ready"}`, strconv.Itoa(min(3, slots[0])))
	m.until(`slotsync_instance_in_sync{haproxy="edge-1"}`, "1")
	m.samples = nil
	return m
}

// connect has what is asked for over HTTP go to slotsync's socket.
func (m *monitored) connect() {
	m.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(m.dir, "api"))
	}}
}

const alertEdge = `global
  stats socket {socket} mode 600 level admin expose-fd listeners
defaults
  mode tcp
  timeout connect 1s
  timeout client 1m
  timeout server 1m
frontend in
  bind unix@{dir}/in.sock
  default_backend web
backend web
  server-template web 1-%d slot.invalid:1 init-addr last,127.0.0.1 disabled weight 100
`

func (m *monitored) start() {
	m.t.Helper()
	m.agent = exec.Command("slotsync", "run", "--config", m.config)
	log, err := os.OpenFile(filepath.Join(m.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	m.agent.Stdout, m.agent.Stderr = log, log
	if err := m.agent.Start(); err != nil {
		m.t.Fatal(err)
	}
}

// kill ends slotsync as a crash does.
func (m *monitored) kill() {
	_ = m.agent.Process.Kill() // it may have ended
	_ = m.agent.Wait()
}

func (m *monitored) stop() {
	for _, f := range m.cleanups {
		f()
	}
	m.kill()
	if m.t.Failed() {
		log, _ := os.ReadFile(filepath.Join(m.dir, "log"))
		m.t.Logf("slotsync:\n%s", log[max(0, len(log)-3000):])
	}
	os.RemoveAll(m.dir)
}

// write replaces a file in one step.
func (m *monitored) write(name, text string) {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		m.t.Fatal(err)
	}
}

// list has a file of endpoints name these addresses, 127.9.0.N:80.
func (m *monitored) list(file string, last ...int) {
	m.t.Helper()
	text := "[]\n"
	if len(last) > 0 {
		text = ""
	}
	for _, n := range last {
		text += fmt.Sprintf("- {targets: [\"127.9.0.%d:80\"], labels: {service: web}}\n", n)
	}
	m.write("endpoints/"+file+".yaml", text)
}

// slotsync runs a command, which may fail.
func (m *monitored) slotsync(args ...string) string {
	m.t.Helper()
	out, err := exec.CommandContext(m.t.Context(), "slotsync", append(args, "--config", m.config)...).CombinedOutput()
	return fmt.Sprintf("%s %v", out, err)
}

// scrape asks for the series, as Prometheus does each scrapeStep.
func (m *monitored) scrape() map[string]string {
	now := map[string]string{`up{job="slotsync"}`: "0"}
	ctx, cancel := context.WithTimeout(m.t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/metrics", nil)
	if err != nil {
		m.t.Fatal(err)
	}
	if answer, err := m.client.Do(req); err == nil {
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err == nil && answer.StatusCode == http.StatusOK {
			m.exposed = string(text)
			now[`up{job="slotsync"}`] = "1"
			maps.Copy(now, ownSeries(m.exposed))
		}
	}
	m.samples = append(m.samples, now)
	return now
}

// ownSeries are the samples of slotsync's own series in an exposition.
func ownSeries(exposed string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(exposed) {
		if at := strings.LastIndexByte(line, ' '); at > 0 && strings.HasPrefix(line, "slotsync_") {
			out[line[:at]] = strings.TrimSpace(line[at:])
		}
	}
	return out
}

// scrapes lets n scrapes pass.
func (m *monitored) scrapes(n int) {
	tick := time.NewTicker(scrapeEvery)
	defer tick.Stop()
	for range n {
		<-tick.C
		m.scrape()
	}
}

// until scrapes until a series has a value.
func (m *monitored) until(series, value string) {
	m.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(scrapeEvery)
	defer tick.Stop()
	for m.scrape()[series] != value {
		if time.Now().After(deadline) {
			m.t.Fatalf("%s is %q, want %q", series, m.samples[len(m.samples)-1][series], value)
		}
		<-tick.C
	}
}

// A question is what a rule or an expression is to say after so many scrapes.
type question struct {
	after int
	expr  string
	want  []string // labels of the series with the value 1
}

// judge has promtool evaluate the rules over what was scraped.
func (m *monitored) judge(questions []question) {
	m.t.Helper()
	rules, err := filepath.Abs("../../examples/monitoring/alerts.yaml")
	if err != nil {
		m.t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "rule_files: [%s]\nevaluation_interval: %s\ntests:\n  - interval: %[2]s\n    input_series:\n", rules, scrapeStep)
	every := map[string]bool{}
	for _, s := range m.samples {
		for name := range s {
			every[name] = every[name] || !strings.Contains(name, "_bucket{")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(every)) {
		if every[name] {
			fmt.Fprintf(&b, "      - series: '%s'\n        values: '%s'\n", name, strings.Join(m.values(name), " "))
		}
	}
	b.WriteString("    promql_expr_test:\n")
	for _, q := range questions {
		fmt.Fprintf(&b, "      - expr: '%s'\n        eval_time: %s\n", q.expr, time.Duration(q.after-1)*scrapeStep)
		if len(q.want) > 0 {
			b.WriteString("        exp_samples:\n")
		}
		for _, labels := range q.want {
			fmt.Fprintf(&b, "          - {labels: '%s', value: 1}\n", labels)
		}
	}
	m.write("rules_test.yaml", b.String())
	promtool(m.t, nil, "test", "rules", filepath.Join(m.dir, "rules_test.yaml"))
}

// values are those of a series, scrape by scrape.
func (m *monitored) values(series string) []string {
	out := make([]string, len(m.samples))
	for i, s := range m.samples {
		v, ok := s[series]
		if out[i] = v; !ok {
			out[i] = "stale"
		}
		if f, err := strconv.ParseFloat(v, 64); err == nil && strings.HasPrefix(series, "slotsync_instance_lag_seconds") {
			out[i] = strconv.FormatFloat(f*stretch, 'f', -1, 64)
		}
		if v == "NaN" {
			out[i] = "_"
		}
	}
	return out
}

// promtool runs Prometheus' tool, which has to find no fault.
func promtool(t *testing.T, stdin []byte, args ...string) {
	t.Helper()
	path := filepath.Join(haproxytest.Deps(t), "prometheus", "promtool")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("no promtool: run make deps: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
