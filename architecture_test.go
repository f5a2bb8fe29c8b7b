// Package slotsync_test holds the source tree against the picture in docs/architecture.md.
package slotsync_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/slotsync/slotsync"

// arrows says which of our packages each one may import. A folder that is not here may not hold Go code.
func arrows() map[string][]string {
	return map[string][]string{
		"cmd/slotsync": {
			"cmd/slotsync/complete", "cmd/slotsync/config", "cmd/slotsync/daemon", "cmd/slotsync/demo", "cmd/slotsync/doctor", "cmd/slotsync/output",
			"cmd/slotsync/remote", "cmd/slotsync/setup", "cmd/slotsync/support", "cmd/slotsync/textfmt", "cmd/slotsync/top",
			"agent/api", "agent/client", "securedir", "slots/haproxy",
		},
		"cmd/slotsync/complete": {"agent/api", "agent/client"},
		"cmd/slotsync/config": {
			"cmd/slotsync/textfmt", "agent/api", "agent/guard", "agent/owner", "agent/sources", "agent/web/auth", "securedir", "slots", "slots/haproxy",
			"discovery", "discovery/consul", "discovery/dns", "discovery/file", "discovery/longpoll", "discovery/nomad",
		},
		"cmd/slotsync/daemon": {
			"cmd/slotsync/config", "cmd/slotsync/textfmt", "agent", "agent/api", "agent/store", "agent/web", "agent/web/audit", "agent/web/auth", "metrics", "securedir", "slots", "slots/haproxy", "slots/reload",
			"discovery", "discovery/consul", "discovery/dns", "discovery/file", "discovery/longpoll", "discovery/nomad",
		},
		"cmd/slotsync/demo": {
			"cmd/slotsync/config", "cmd/slotsync/daemon", "cmd/slotsync/demo/traffic", "cmd/slotsync/textfmt", "agent", "agent/api", "slots", "discovery",
		},
		"cmd/slotsync/demo/traffic": {},
		"cmd/slotsync/doctor": {
			"cmd/slotsync/config", "cmd/slotsync/daemon", "cmd/slotsync/textfmt", "agent/api", "agent/guard", "agent/web/auth", "securedir", "slots", "slots/haproxy", "slots/reload", "discovery",
		},
		"cmd/slotsync/output": {"cmd/slotsync/textfmt", "agent/api", "discovery", "slots"},
		"cmd/slotsync/remote": {
			"cmd/slotsync/config", "cmd/slotsync/output", "cmd/slotsync/textfmt", "agent/api", "agent/client", "discovery/longpoll", "securedir", "slots",
		},
		"cmd/slotsync/setup": {
			"cmd/slotsync/config", "cmd/slotsync/daemon", "cmd/slotsync/doctor", "cmd/slotsync/textfmt", "discovery", "discovery/consul", "discovery/dns",
			"securedir", "slots", "slots/haproxy",
		},
		"cmd/slotsync/support": {},
		"cmd/slotsync/textfmt": {"discovery"},
		"cmd/slotsync/top":     {"cmd/slotsync/output", "cmd/slotsync/textfmt", "agent/api", "agent/client", "slots"},

		"agent":              {"agent/api", "agent/event", "agent/explain", "agent/guard", "agent/override", "agent/placement", "agent/reconciler", "agent/reloadpolicy", "agent/sources", "agent/store", "discovery", "metrics", "securedir", "slots", "slots/reload"},
		"agent/api":          {"discovery", "slots"},
		"agent/client":       {"agent/api", "agent/owner", "discovery", "discovery/longpoll", "slots"},
		"agent/event":        {"agent/api", "discovery"},
		"agent/explain":      {"agent/api", "agent/guard", "agent/override", "discovery", "slots"},
		"agent/guard":        {"discovery"},
		"agent/override":     {"agent/api", "discovery", "slots"},
		"agent/owner":        {},
		"agent/placement":    {"discovery", "slots"},
		"agent/reconciler":   {"slots"},
		"agent/reloadpolicy": {},
		"agent/simulation":   {}, // its tests reach everything
		"agent/sources":      {"discovery"},
		"agent/store":        {"securedir"},
		"agent/web":          {"agent/api", "agent/event", "agent/web/answer", "agent/web/audit", "agent/web/auth", "agent/web/page", "slots"},
		"agent/web/answer":   {"agent/api"},
		"agent/web/audit":    {"securedir"},
		"agent/web/auth":     {"agent/api", "agent/owner", "agent/web/answer"},
		"agent/web/page":     {"agent/api", "agent/event", "agent/web/answer", "agent/web/auth", "discovery"},
		"discovery":          {},
		"discovery/consul":   {"discovery", "discovery/longpoll"},
		"discovery/dns":      {"discovery"},
		"discovery/file":     {"discovery"},
		"discovery/longpoll": {"discovery"},
		"discovery/nomad":    {"discovery", "discovery/longpoll"},
		"metrics":            {},
		"securedir":          {},
		"slots":              {"discovery"},
		"slots/haproxy":      {"discovery", "securedir", "slots"},
		"slots/reload":       {"securedir", "slots"},
		"tools/dashboard":    {}, // the types of Grafana, in a module of its own
		"tools/eventually":   {}, // waiting in tests
		"tools/configdoc":    {"cmd/slotsync/config"},
		"tools/image":        {}, // an image without a daemon, in a module of its own
		"tools/loopback":     {}, // ports for tests
		"tools/manifest":     {}, // the schema of Kubernetes, in a module of its own
		"tools/metricsdoc":   {"cmd/slotsync/daemon", "metrics"},
		"tools/mutate":       {}, // runs the tests of all of them
		"tools/oapi":         {}, // a client that is generated, in a module of its own
		"tools/oapi/lint":    {}, // what reads openapi.json for faults
		"tools/openapi":      {"agent/api", "agent/web", "agent/web/auth", "discovery", "slots"},

		"agent/simulation/oracle":          {}, // of the contract alone
		"agent/client/clienttest":          {"agent/api", "agent/client"},
		"cmd/slotsync/textfmt/textfmttest": {},
		"securedir/securedirtest":          {},
		"slots/haproxy/haproxytest":        {"tools/eventually", "tools/loopback"},
		"discovery/discoverytest":          {"discovery"},
		"discovery/consul/consultest":      {"discovery/discoverytest", "tools/loopback"},
		"discovery/dns/dnstest":            {"tools/loopback"},
		"discovery/nomad/nomadtest":        {"discovery/discoverytest"},
	}
}

// confined says where alone a dependency may be imported, so that each stands behind one package of ours.
func confined() map[string][]string {
	return map[string][]string{
		"charm.land/bubbles/v2":                  {"cmd/slotsync/top"},
		"charm.land/bubbletea/v2":                {"cmd/slotsync/top"},
		"charm.land/lipgloss/v2":                 {"cmd/slotsync/top"},
		"github.com/coreos/go-systemd/v22":       {"cmd/slotsync/daemon"},
		"github.com/fsnotify/fsnotify":           {"discovery/file"},
		"github.com/hashicorp/consul/api":        {"discovery/consul", "discovery/consul/consultest"},
		"github.com/hashicorp/go-version":        {"cmd/slotsync/doctor", "discovery/consul"},
		"github.com/hashicorp/nomad/api":         {"discovery/nomad", "discovery/nomad/nomadtest"},
		"github.com/miekg/dns":                   {"cmd/slotsync/demo", "discovery/dns", "discovery/dns/dnstest"},
		"github.com/prometheus/client_golang":    {"metrics", "cmd/slotsync/daemon"},
		"github.com/prometheus/exporter-toolkit": {"agent/web/auth"},
		"github.com/rogpeppe/go-internal/diff":   {"slots/reload"},
		"github.com/segmentio/encoding":          {"discovery/consul"},
		"github.com/spf13/cobra":                 {"cmd/slotsync"},
		"github.com/spf13/pflag":                 {"cmd/slotsync"},
		"github.com/go-viper/mapstructure/v2":    {"cmd/slotsync/config"},
		"github.com/spf13/viper":                 {"cmd/slotsync/config"},
		"go.yaml.in/yaml/v3":                     {"agent/web/auth", "cmd/slotsync/config", "discovery/file"},
		"log/slog":                               {"agent", "agent/web", "agent/web/auth", "cmd/slotsync/config", "cmd/slotsync/daemon"},
	}
}

// A sourceFile is one parsed file that goes into a package, not into its tests.
type sourceFile struct {
	name   string // from the root of the module
	syntax *ast.File
}

func (f sourceFile) folder() string { return path.Dir(f.name) }

func (f sourceFile) imports() []string {
	var paths []string
	for _, spec := range f.syntax.Imports {
		if imported, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, imported)
		}
	}
	return paths
}

// parseModule returns every Go file of the module that is not a test.
func parseModule(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	positions := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata") {
				return filepath.SkipDir
			}
			return nil
		case !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		syntax, err := parser.ParseFile(positions, name, nil, parser.SkipObjectResolution)
		files = append(files, sourceFile{filepath.ToSlash(name), syntax})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestImportGraph(t *testing.T) {
	for _, complaint := range checkImports(parseModule(t)) {
		t.Error(complaint)
	}
}

// TestArrowsAreNeeded: an arrow that no import needs is none.
func TestArrowsAreNeeded(t *testing.T) {
	needed := map[[2]string]bool{}
	for _, file := range parseModule(t) {
		for _, imported := range file.imports() {
			needed[[2]string{file.folder(), strings.TrimPrefix(imported, module+"/")}] = true
		}
	}
	for folder, allowed := range arrows() {
		for _, own := range allowed {
			if !needed[[2]string{folder, own}] {
				t.Errorf("nothing in %s imports %s", folder, own)
			}
		}
	}
}

// checkImports says which import is in neither table, one line each.
func checkImports(files []sourceFile) []string {
	var complaints []string
	ours, theirs := arrows(), confined()
	for _, file := range files {
		folder := file.folder()
		allowed, known := ours[folder]
		if !known {
			complaints = append(complaints, file.name+": the picture has no package "+folder)
			continue
		}
		for _, imported := range file.imports() {
			if own, isOurs := strings.CutPrefix(imported, module+"/"); isOurs && !slices.Contains(allowed, own) {
				complaints = append(complaints, file.name+": no arrow from "+folder+" to "+own)
			}
			for dependency, homes := range theirs {
				if within(imported, dependency) && !slices.Contains(homes, folder) {
					complaints = append(complaints, file.name+": "+dependency+" belongs to "+strings.Join(homes, ", "))
				}
			}
		}
	}
	slices.Sort(complaints)
	return complaints
}

func within(imported, dependency string) bool {
	return imported == dependency || strings.HasPrefix(imported, dependency+"/")
}

// TestArrowsPointDown proves that the picture itself has no cycle: each package may only reach what is drawn below it.
func TestArrowsPointDown(t *testing.T) {
	graph := arrows()
	done := map[string]bool{}
	for len(done) < len(graph) {
		before := len(done)
		for folder, imported := range graph {
			if !slices.ContainsFunc(imported, func(other string) bool { return !done[other] }) {
				done[folder] = true
			}
		}
		if len(done) == before {
			left := maps.Clone(graph)
			maps.DeleteFunc(left, func(folder string, _ []string) bool { return done[folder] })
			t.Fatalf("a cycle, or an arrow to nowhere, among %v", slices.Sorted(maps.Keys(left)))
		}
	}
}

// TestPurePackagesStartNoGoroutine: what decides is a function over values, and time is a
// parameter of it.
func TestPurePackagesStartNoGoroutine(t *testing.T) {
	pure := []string{"agent/explain", "agent/guard", "agent/override", "agent/placement", "agent/reloadpolicy", "agent/sources", "slots"}
	for _, file := range parseModule(t) {
		if !slices.Contains(pure, file.folder()) {
			continue
		}
		ast.Inspect(file.syntax, func(node ast.Node) bool {
			switch n := node.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: starts a goroutine", file.name)
			case *ast.SelectorExpr:
				if n.Sel.Name == "Go" {
					t.Errorf("%s: starts a goroutine in a group", file.name)
				}
				if in, ok := n.X.(*ast.Ident); ok && in.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "After", "NewTimer", "Sleep"}, n.Sel.Name) {
					t.Errorf("%s: asks for the time", file.name)
				}
			}
			return true
		})
	}
}

func TestNoCatchAllFolders(t *testing.T) {
	banned := []string{"internal", "pkg", "util", "utils", "common", "helpers"}
	for _, file := range parseModule(t) {
		for part := range strings.SplitSeq(file.folder(), "/") {
			if slices.Contains(banned, part) {
				t.Errorf("%s: a folder says what its code does; %q does not", file.name, part)
			}
		}
	}
}

func TestNoInit(t *testing.T) {
	for _, file := range parseModule(t) {
		for _, declaration := range file.syntax.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if ok && function.Recv == nil && function.Name.Name == "init" {
				t.Errorf("%s: nothing runs before main: no func init", file.name)
			}
		}
	}
}

func TestCheckImportsSeesWhatIsForbidden(t *testing.T) {
	cases := []struct {
		name, file, imported, want string
	}{
		{"down", "agent/loop.go", module + "/slots", ""},
		{"up", "slots/assign.go", module + "/agent", "slots/assign.go: no arrow from slots to agent"},
		{"across", "discovery/dns/dns.go", module + "/slots", "discovery/dns/dns.go: no arrow from discovery/dns to slots"},
		{"a test helper", "agent/loop.go", module + "/slots/haproxy/haproxytest", "agent/loop.go: no arrow from agent to slots/haproxy/haproxytest"},
		{"unknown folder", "internal/x/x.go", "fmt", "internal/x/x.go: the picture has no package internal/x"},
		{"logging in a leaf", "discovery/dns/dns.go", "log/slog", "discovery/dns/dns.go: log/slog belongs to agent, agent/web, agent/web/auth, cmd/slotsync/config, cmd/slotsync/daemon"},
		{"below a dependency", "agent/loop.go", "github.com/prometheus/client_golang/prometheus",
			"agent/loop.go: github.com/prometheus/client_golang belongs to metrics, cmd/slotsync/daemon"},
		{"a longer name", "agent/loop.go", "github.com/miekg/dnsother", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			source := "package x\nimport _ " + strconv.Quote(c.imported)
			syntax, err := parser.ParseFile(token.NewFileSet(), c.file, source, 0)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(checkImports([]sourceFile{{c.file, syntax}}), "\n")
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestLoopStaysSmall: a method of these reaches everything. What can be a function over values
// stands in a room below agent.
func TestLoopStaysSmall(t *testing.T) {
	most, methods := map[string]int{"Agent": 125, "core": 26}, map[string]int{}
	for _, file := range parseModule(t) {
		if file.folder() != "agent" {
			continue
		}
		for _, declaration := range file.syntax.Decls {
			if f, ok := declaration.(*ast.FuncDecl); ok && f.Recv != nil {
				if p, ok := f.Recv.List[0].Type.(*ast.StarExpr); ok {
					methods[p.X.(*ast.Ident).Name]++
				}
			}
		}
	}
	for name, limit := range most {
		if n := methods[name]; n == 0 || n > limit {
			t.Errorf("agent: %s has %d methods, of %d at most", name, n, limit)
		}
	}
}
