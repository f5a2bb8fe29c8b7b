package simulation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/simulation/oracle"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
	"github.com/slotsync/slotsync/slots/reload"
)

// A site is HAProxy's file, which the agent renders, and what reloads HAProxy with it. The
// transaction is the real one, on real files: a killed agent leaves them as they are then.
type site struct {
	w   *world
	dir string // of the files; another one after each kill

	mu    sync.Mutex
	fault string // what goes wrong with the next reloads; see [reloader]
	built *transaction
}

// What every HAProxy is reloaded by, as far as a seed begins with it.
const (
	reloadInterval = 10 * time.Second
	reloadsPerHour = 6
	reloadTimeout  = 6 * time.Second // of each step
)

func newSite(w *world) *site {
	s := &site{w: w, dir: filepath.Join(w.dir, "site0")}
	w.must(os.MkdirAll(s.dir, 0o700))
	s.writeTemplate(0)
	w.must(os.WriteFile(s.file(), []byte("# of the package\n"), 0o600))
	s.judge("true")
	return s
}

func (s *site) file() string     { return filepath.Join(s.dir, "haproxy.cfg") }
func (s *site) template() string { return filepath.Join(s.dir, "haproxy.tmpl") }
func (s *site) check() string    { return filepath.Join(s.w.dir, "check") }

// writeTemplate has somebody change the template.
func (s *site) writeTemplate(n int) {
	text := fmt.Sprintf("# template %d\n{{range .Backends}}backend {{.Proxy}} {{.Prefix}} {{.Offset}} {{.Slots}}\n{{end}}", n)
	s.w.must(os.WriteFile(s.template(), []byte(text), 0o600))
}

// judge has the program that checks a file be another one.
func (s *site) judge(program string) {
	path := "/bin/" + program
	if _, err := os.Stat(path); err != nil {
		path = "/usr/bin/" + program
	}
	_ = os.Remove(s.check())
	s.w.must(os.Symlink(path, s.check()))
}

// moved has the next agent go on with the files as they are now. A journal is of one file, by
// its path, and has to be of the one that takes its place.
func (s *site) moved(n int) {
	to := filepath.Join(s.w.dir, fmt.Sprint("site", n))
	s.w.must(filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return skipGone(err)
		}
		info, err := d.Info()
		if err != nil {
			return skipGone(err)
		}
		rel, _ := filepath.Rel(s.dir, path)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), info.Mode().Perm())
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return skipGone(err)
		}
		return os.WriteFile(filepath.Join(to, rel), bytes.ReplaceAll(text, []byte(s.dir+"/"), []byte(to+"/")), info.Mode().Perm())
	}))
	s.dir = to
}

func skipGone(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// addReload adds to the options how HAProxy is reloaded, if it is.
func (w *world) addReload(o *agent.Options) {
	if w.site == nil || w.conf.noReload {
		return
	}
	r := agent.Reload{Name: "haproxy", MinInterval: reloadInterval, MaxPerHour: reloadsPerHour, Jitter: time.Second}
	for _, in := range o.Instances {
		r.Instances = append(r.Instances, in.Name)
	}
	o.Reloads = []agent.Reload{r}
}

// finishReload gives the reload the transaction of its instances.
func (w *world) finishReload(o *agent.Options) {
	for i := range o.Reloads {
		r := &o.Reloads[i]
		r.Transaction = w.site.transaction(r.Instances)
		r.File, r.Key = w.site.file(), fmt.Sprint(r.Instances, w.conf.template)
		w.oracleDo(func(j *oracle.Oracle) { j.ReloadRules(r.MinInterval, r.MaxPerHour) })
	}
}

// A transaction is one of a life of the agent.
type transaction struct {
	*reload.Transaction
	site  *site
	life  *life
	names []string
}

// transaction is that of these instances; the one there is goes on where it can.
func (s *site) transaction(names []string) *transaction {
	w := s.w
	if t := s.built; t != nil && t.life == w.life && slices.Equal(t.names, names) {
		return t
	}
	t := &transaction{site: s, life: w.life, names: slices.Clone(names)}
	o := reload.Options{
		Template: s.template(), File: s.file(), Dir: filepath.Join(s.dir, "versions"), Check: []string{s.check(), "{{.File}}"},
		Timeout: reloadTimeout, Reloader: reloader{t, s.file()}, Keep: 2,
	}
	for _, p := range w.proxies {
		if !slices.Contains(names, w.called(p)) {
			continue
		}
		client, err := haproxy.New(haproxy.Options{
			Socket: w.socket(p), Timeout: w.plan.setting.Timeout,
			Dial: t.life.dialTo(p),
		})
		w.must(err)
		o.Instances = append(o.Instances, process{w.called(p), client})
	}
	var err error
	t.Transaction, err = reload.New(o)
	w.must(err)
	s.built = t
	return t
}

// A process is an instance that shows which process answers.
type process struct {
	name   string
	client *haproxy.Client
}

func (p process) Name() string { return p.name }

func (p process) Process(ctx context.Context) (slots.Process, error) { return p.client.Info(ctx) }

// Run tells the oracle what is begun, and what came of it.
func (t *transaction) Run(ctx context.Context, r reload.Request) (reload.Result, error) {
	if t.life.dead.Load() {
		return reload.Result{}, errKilled
	}
	said := oracle.Reload{Asked: r.By != "", Tag: t.Files().Tag, Slots: fmt.Sprint(t.slots())}
	if names, ok := strings.CutPrefix(r.Reason, "overflow: "); ok {
		said.Backends = strings.Split(names, ", ")
	}
	t.site.w.judge(t.life, func(o *oracle.Oracle) { o.ReloadBegins(time.Now(), said) })
	res, err := t.Transaction.Run(ctx, r)
	t.ends(said, err)
	return res, err
}

func (t *transaction) ends(said oracle.Reload, err error) {
	said.Tag = t.Files().Tag
	if said.Busy = said.Busy || errors.Is(err, reload.ErrBusy); err != nil {
		t.site.w.logf("reload: %v", err)
	}
	t.site.w.judge(t.life, func(o *oracle.Oracle) { o.ReloadEnds(time.Now(), said) })
}

// Recover is a reload that nobody asked for, if there is anything to be ended.
func (t *transaction) Recover(ctx context.Context) (reload.Result, bool, error) {
	if t.life.dead.Load() {
		return reload.Result{}, false, errKilled
	}
	res, had, err := t.Transaction.Recover(ctx)
	if had {
		t.site.w.logf("recovered: %+v, %v", res, err)
		t.site.w.seen.note("reload recovered", err == nil)
		t.ends(oracle.Reload{Busy: true}, err)
	}
	return res, had, err
}

// slots are how many each HAProxy has of each backend.
func (t *transaction) slots() (out []int) {
	for _, p := range t.site.w.proxies {
		for _, b := range p.backends {
			out = append(out, b.Slots)
		}
	}
	return out
}

var errKilled = errors.New("killed")

// A reloader has the HAProxys of a transaction load the file.
type reloader struct {
	of   *transaction
	file string
}

func (r reloader) String() string { return "the simulation" }

// Reload does that, or what the fault of the site says:
//
//	refused      HAProxy does not take the file
//	silent       it seems to, and no new process comes
//	kill before  the agent is killed before
//	kill after   and after it
func (r reloader) Reload(context.Context) (string, error) {
	s := r.of.site
	s.mu.Lock()
	fault := s.fault
	s.mu.Unlock()
	if strings.HasPrefix(fault, "kill") {
		s.mu.Lock()
		s.fault = ""
		s.mu.Unlock()
	}
	if fault == "kill before" {
		s.w.kill()
	}
	switch {
	case r.of.life.dead.Load():
		return "", errKilled
	case fault == "refused":
		return "", errors.New("the file is refused")
	case fault == "silent":
		return "done", nil
	}
	text, err := os.ReadFile(r.file)
	s.w.must(err)
	for _, p := range s.w.proxies {
		if slices.ContainsFunc(r.of.names, func(called string) bool { return nameOf(called) == p.name }) {
			p.load(string(text))
		}
	}
	s.w.seen.states["reload done"]++
	if fault == "kill after" {
		s.w.kill()
	}
	return "done", nil
}

// load restarts the proxy with the slots that a rendered file says.
func (p *proxy) load(text string) {
	next := slices.Clone(p.backends)
	for line := range strings.Lines(text) {
		var b haproxytest.Backend
		if n, _ := fmt.Sscanf(line, "backend %s %s %d %d", &b.Name, &b.Prefix, &b.After, &b.Slots); n < 4 {
			continue
		}
		i := slices.IndexFunc(next, func(c haproxytest.Backend) bool { return c.Name == b.Name })
		if i < 0 {
			j := slices.IndexFunc(p.w.services, func(list []*service) bool { return list[0].backend == b.Name })
			i = len(next)
			next = append(next, p.w.plan.setting.template(j, b.Slots))
		} else {
			before := next[i].Slots
			p.w.oracleDo(func(o *oracle.Oracle) { o.Rendered(time.Now(), p.name, b.Name, before, b.Slots) })
		}
		next[i].Prefix, next[i].After, next[i].Slots = b.Prefix, b.After, b.Slots
	}
	p.backends = next
	p.restart(true)
}

// doReload changes what reloads do, or has an operator ask for one.
func (w *world) doReload(s step) bool {
	known := slices.Contains([]string{"reload fails", "reload works", "by hand", "reload"}, s.verb)
	if !known || w.site == nil {
		return known
	}
	switch s.verb {
	case "reload fails":
		fault := []string{"check", "refused", "silent", "kill before", "kill after"}[s.c%5]
		w.site.heal()
		if fault == "check" {
			w.site.judge("false")
		}
		w.site.mu.Lock()
		w.site.fault = fault
		w.site.mu.Unlock()
	case "reload works":
		w.site.heal()
	case "by hand":
		text, err := os.ReadFile(w.site.file())
		w.must(err)
		w.must(os.WriteFile(w.site.file(), append(text, fmt.Sprintf("# by hand %d\n", s.b%5)...), 0o600))
	case "reload":
		w.askReload(s.c%2 == 0)
	}
	return true
}

// askReload has an operator ask for a reload.
func (w *world) askReload(force bool) {
	w.call(func(ctx context.Context) error {
		_, err := w.agent.ReloadHAProxy(ctx, api.ReloadRequest{By: "sim", Force: force})
		return err
	})
}

func (s *site) heal() {
	s.judge("true")
	s.mu.Lock()
	s.fault = ""
	s.mu.Unlock()
}
