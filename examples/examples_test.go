// Package examples_test runs every example through the program that it is for.
package examples_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
	"github.com/slotsync/slotsync/slots/reload"
)

// emptyState is a server-state file without a server; HAProxy warns of one that is missing or of no bytes.
const emptyState = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight " +
	"srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state " +
	"bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord\n"

func examples(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("*", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no example %s (%v)", pattern, err)
	}
	return files
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// buildSlotsync returns the path of a freshly built slotsync.
func buildSlotsync(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "slotsync")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../cmd/slotsync").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, output)
	}
	return binary
}

// TestHAProxyAccepts has every supported HAProxy check every haproxy.cfg; a warning fails too.
func TestHAProxyAccepts(t *testing.T) {
	for _, version := range haproxytest.Versions {
		binary := haproxytest.Binary(t, version)
		for _, name := range examples(t, "haproxy.cfg") {
			t.Run(version+"/"+filepath.Dir(name), func(t *testing.T) {
				checkHAProxy(t, binary, read(t, name))
			})
		}
	}
}

func checkHAProxy(t *testing.T, binary, text string) {
	t.Helper()
	check := exec.CommandContext(t.Context(), binary, "-c", "-dW", "-f", localCopy(t, text))
	check.Env = append(os.Environ(), "EDGE=1", "NOMAD_PORT_http=8080")
	if output, err := check.CombinedOutput(); err != nil {
		t.Errorf("haproxy -c: %v\n%s", err, output)
	}
}

// localCopy returns a haproxy.cfg with this text that asks for no user of this machine and finds its state files.
func localCopy(t *testing.T, text string) string {
	t.Helper()
	folder := t.TempDir()
	for _, state := range regexp.MustCompile(`(?m)^backend (\S+)`).FindAllStringSubmatch(text, -1) {
		write(t, filepath.Join(folder, state[1]), emptyState)
	}
	text = regexp.MustCompile(`(?m)^\t(user|group|chroot) .*\n`).ReplaceAllString(text, "")
	text = strings.ReplaceAll(text, " user haproxy group haproxy ", " ")
	text = regexp.MustCompile(`(?m)^\tserver-state-base .*$`).ReplaceAllLiteralString(text, "\tserver-state-base "+folder)
	local := filepath.Join(folder, "haproxy.cfg")
	write(t, local, text)
	return local
}

// TestSlotsRecommended keeps the examples to the one form of slots that loses nothing.
func TestSlotsRecommended(t *testing.T) {
	template := regexp.MustCompile(`^server-template [a-z]+ 1-\d+ slot\.invalid:1 init-addr last,127\.0\.0\.1 disabled weight 100( |$)`)
	for _, name := range examples(t, "haproxy.cfg") {
		for line := range strings.Lines(read(t, name)) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "server-template") && !template.MatchString(line) {
				t.Errorf("%s: not the recommended form: %s", name, line)
			}
		}
	}
}

func TestSlotsyncAccepts(t *testing.T) {
	slotsync := buildSlotsync(t)
	for _, name := range examples(t, "slotsync.yaml") {
		t.Run(filepath.Dir(name), func(t *testing.T) {
			checkSlotsync(t, slotsync, name)
		})
	}
}

func checkSlotsync(t *testing.T, slotsync, name string) {
	t.Helper()
	check := exec.CommandContext(t.Context(), slotsync, "check", "--config", name)
	check.Env = []string{"PATH=" + os.Getenv("PATH")}
	if output, err := check.CombinedOutput(); err != nil {
		t.Errorf("slotsync check: %v\n%s", err, output)
	}
}

// TestTemplatesRender renders every haproxy.cfg.tmpl: with 100 slots it is the haproxy.cfg beside it, and with more every
// supported HAProxy takes it without a warning.
func TestTemplatesRender(t *testing.T) {
	for _, name := range examples(t, "haproxy.cfg.tmpl") {
		folder := filepath.Dir(name)
		if diff := cmp.Diff(read(t, filepath.Join(folder, "haproxy.cfg")), render(t, name, 100)); diff != "" {
			t.Errorf("%s is not what is rendered with 100 slots: %s", folder, diff)
		}
		for _, version := range haproxytest.Versions {
			t.Run(version+"/"+folder, func(t *testing.T) {
				text := render(t, name, 250)
				if !strings.Contains(text, " 1-250 ") {
					t.Errorf("not 250 slots:\n%s", text)
				}
				checkHAProxy(t, haproxytest.Binary(t, version), text)
			})
		}
	}
}

// render returns what slotsync makes of a template when the backend of the example has n slots.
func render(t *testing.T, template string, n int) string {
	t.Helper()
	folder := t.TempDir()
	edge := &restarted{}
	transaction, err := reload.New(reload.Options{
		Template: template, File: filepath.Join(folder, "haproxy.cfg"), Dir: filepath.Join(folder, "versions"),
		Reloader: edge, Instances: []reload.Instance{edge},
	})
	if err != nil {
		t.Fatal(err)
	}
	data := reload.Data{Backends: []reload.Backend{{Name: "web", Proxy: "web", Prefix: "web", Slots: n}}}
	if _, err := transaction.Run(t.Context(), reload.Request{Data: data}); err != nil {
		t.Fatal(err)
	}
	return read(t, filepath.Join(folder, "haproxy.cfg"))
}

// A restarted is an instance that has a new process after each reload.
type restarted struct{ process slots.Process }

func (r *restarted) Name() string                                   { return "edge-1" }
func (r *restarted) String() string                                 { return "the test" }
func (r *restarted) Reload(context.Context) (string, error)         { r.process.Pid++; return "", nil }
func (r *restarted) Process(context.Context) (slots.Process, error) { return r.process, nil }

// TestFirstSetUp checks the files that docs/set-up.md has people write.
func TestFirstSetUp(t *testing.T) {
	page := read(t, "../docs/set-up.md")
	balancer := regexp.MustCompile("(?s)```\n(global\n.*?)```").FindStringSubmatch(page)
	agent := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(page)
	if balancer == nil || agent == nil {
		t.Fatal("docs/set-up.md shows no haproxy.cfg or no slotsync.yaml")
	}
	for _, version := range haproxytest.Versions {
		checkHAProxy(t, haproxytest.Binary(t, version), balancer[1])
	}
	slotsync := buildSlotsync(t)
	file := filepath.Join(t.TempDir(), "slotsync.yaml")
	write(t, file, agent[1])
	checkSlotsync(t, slotsync, file)
	more := regexp.MustCompile("(?s)```yaml\n(reload:\n.*?)```").FindStringSubmatch(page)
	if more == nil {
		t.Fatal("docs/set-up.md shows no reload")
	}
	write(t, file, strings.Replace(agent[1], "    service: web\n", "    service: web\n    slots: web\n", 1)+more[1])
	checkSlotsync(t, slotsync, file)
}

// TestLinks follows the links between the pages of this repository.
func TestLinks(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) < 5 {
		t.Fatal(pages, err)
	}
	guides, err := filepath.Glob("../docs/guides/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = slices.Concat(pages, guides, []string{"../README.md", "../CHANGELOG.md"}, examples(t, "README.md"))
	link := regexp.MustCompile(`\]\(([^):#]+)(?:#([^):]+))?\)`)
	for _, page := range pages {
		for _, found := range link.FindAllStringSubmatch(read(t, page), -1) {
			target := filepath.Join(filepath.Dir(page), found[1])
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: a link to nowhere: %v", page, err)
			} else if found[2] != "" && !hasHeading(read(t, target), found[2]) {
				t.Errorf("%s: %s has no heading for #%s", page, target, found[2])
			}
		}
	}
}

// hasHeading reports whether a page has a heading that an anchor leads to.
func hasHeading(page, anchor string) bool {
	for line := range strings.Lines(page) {
		title, ok := strings.CutPrefix(line, "## ")
		if ok && strings.ReplaceAll(strings.ToLower(strings.TrimSpace(title)), " ", "-") == anchor {
			return true
		}
	}
	return false
}

// TestMasterIsThere looks for the master's socket of a slotsync.yaml in what its README has HAProxy's unit say.
func TestMasterIsThere(t *testing.T) {
	for _, name := range examples(t, "slotsync.yaml") {
		for _, found := range regexp.MustCompile(`(?m)^  master: (\S+)`).FindAllStringSubmatch(read(t, name), -1) {
			readme := read(t, filepath.Join(filepath.Dir(name), "README.md"))
			if !strings.Contains(readme, `EXTRAOPTS="-S `+found[1]+`,`) {
				t.Errorf("%s: README.md does not say -S %s", name, found[1])
			}
		}
	}
}

// TestBothSidesAgree finds the sockets, state files and backends of a slotsync.yaml in the haproxy.cfg beside it.
func TestBothSidesAgree(t *testing.T) {
	for _, name := range examples(t, "slotsync.yaml") {
		agent := read(t, name)
		balancer := read(t, filepath.Join(filepath.Dir(name), "haproxy.cfg"))
		balancer = strings.ReplaceAll(balancer, "${EDGE}", "1") + strings.ReplaceAll(balancer, "${EDGE}", "2")
		balancer = strings.ReplaceAll(balancer, `"`, "")
		instances, backends, _ := strings.Cut(agent, "\nbackends:")
		for _, want := range []struct{ text, pattern, form string }{
			{instances, `(?m)^      socket: (\S+)`, "stats socket % "},
			{instances, `(?m)^      state_file: (\S+)/\{backend\}`, "server-state-base %\n"},
			{backends, `(?m)^  - name: (\S+)\n    source:`, "backend %\n"},
			{backends, `(?m)^    backend: (\S+)`, "backend %\n"},
		} {
			for _, found := range regexp.MustCompile(want.pattern).FindAllStringSubmatch(want.text, -1) {
				if line := strings.Replace(want.form, "%", found[1], 1); !strings.Contains(balancer, line) {
					t.Errorf("%s: haproxy.cfg has no line with %q", name, line)
				}
			}
		}
	}
}

func TestEveryExampleSaysWhatItIs(t *testing.T) {
	folders, err := filepath.Glob("*/")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		for _, name := range []string{"README.md", "haproxy.cfg", "slotsync.yaml"} {
			if len(read(t, filepath.Join(folder, name))) == 0 {
				t.Errorf("%s/%s is empty", folder, name)
			}
		}
	}
}
