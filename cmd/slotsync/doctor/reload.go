package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/reload"
)

// Modes of access(2).
const (
	canWrite = 2
	canRead  = 4
)

// examineReload says what may keep HAProxy from being reloaded in the way r.
// processes are those that the instances have shown, the zero one where none has.
func examineReload(ctx context.Context, cfg *config.Config, r config.Reload, processes []slots.Process) findings {
	f := findings{subject: "reload " + r.Name}
	if r.Master != "" {
		f.master(ctx, cfg, r, processes)
	} else {
		f.program("it is reloaded by", "reload.command", r.Command)
	}
	if len(r.Check) > 0 {
		f.program("its file is checked by", "reload.check", r.Check)
	}
	f.judgeUnchecked(r, cfg.Instances, processes)
	f.files(cfg, r)
	return f
}

// judgeUnchecked says where a file that is not checked would end HAProxy.
func (f *findings) judgeUnchecked(r config.Reload, instances []config.Instance, processes []slots.Process) {
	if len(r.Check) > 0 || r.File == "" {
		return
	}
	for i, p := range processes {
		v, err := parseRelease(p.Version)
		if err == nil && matches(v, "~> 3.4.0") && slices.Contains(r.Instances, instances[i].Name) {
			f.add(api.VerdictFail, "instance %s runs HAProxy %s, whose master may end at a file that it cannot parse: set reload.check, as in [haproxy, -c, -f, \"{{.File}}\"]", instances[i].Name, p.Version)
		}
	}
}

func (f *findings) master(ctx context.Context, cfg *config.Config, r config.Reload, processes []slots.Process) {
	m, err := haproxy.NewMaster(r.Master, cfg.Timeout)
	if err != nil {
		f.add(api.VerdictFail, "%v", err)
		return
	}
	workers, err := m.Workers(ctx)
	if err != nil {
		f.add(api.VerdictFail, "reload.master does not answer: %v", err)
		return
	}
	f.judgeWorkers(r, workers, cfg.Instances, processes)
}

// judgeWorkers says whether the workers of a master are those of the instances
// that it is to reload.
func (f *findings) judgeWorkers(r config.Reload, workers []haproxy.Worker, instances []config.Instance, processes []slots.Process) {
	f.add(api.VerdictOK, "the master at %s answers, %s", r.Master, textfmt.Count(len(workers), "worker"))
	for i, in := range instances {
		pid := processes[i].Pid
		if pid == 0 || !slices.Contains(r.Instances, in.Name) {
			continue
		}
		if !slices.ContainsFunc(workers, func(w haproxy.Worker) bool { return w.Pid == pid }) {
			f.add(api.VerdictFail, "instance %s is process %d, which is no worker of this master: a reload would not be seen there", in.Name, pid)
		}
	}
	f.oldWorkers(workers)
}

// oldWorkers says which workers an earlier reload has left.
func (f *findings) oldWorkers(workers []haproxy.Worker) {
	old := slices.DeleteFunc(slices.Clone(workers), func(w haproxy.Worker) bool { return !w.Old })
	if len(old) == 0 {
		return
	}
	oldest := slices.MaxFunc(old, func(a, b haproxy.Worker) int { return cmp.Compare(a.Age, b.Age) })
	f.add(api.VerdictWarn, "%s of earlier reloads, the oldest pid %d, %s old: they serve their last connections at the addresses of then; "+
		"`hard-stop-after` bounds that", textfmt.Count(len(old), "old worker"), oldest.Pid, textfmt.About(oldest.Age))
}

func (f *findings) program(does, key string, words []string) {
	path, err := exec.LookPath(words[0])
	if err != nil {
		f.add(api.VerdictFail, "%s: %v: install it, or write its absolute path", key, err)
		return
	}
	f.add(api.VerdictOK, "%s %q (%s)", does, strings.Join(words, " "), path)
}

// files says whether the template can be read and the file replaced.
func (f *findings) files(cfg *config.Config, r config.Reload) {
	if r.File == "" {
		return
	}
	before := len(f.list)
	file := config.RealPath(r.File)
	f.readable("reload.file", file, r.Template != "")
	if r.Template == "" {
		return
	}
	f.readable("reload.template", r.Template, false)
	f.writable("reload.file is replaced in", filepath.Dir(file))
	f.writable("versions are kept below", existing(r.VersionsDir(cfg.StateDir)))
	if len(f.list) == before {
		f.template(cfg, r)
	}
}

// sampleData has one slot for each backend of a reload.
func sampleData(cfg *config.Config, r config.Reload) (d reload.Data) {
	for _, b := range cfg.Backends {
		if len(b.Instances) > 0 && !slices.ContainsFunc(r.Instances, func(name string) bool { return slices.Contains(b.Instances, name) }) {
			continue
		}
		d.Backends = append(d.Backends, reload.Backend{Name: b.Name, Proxy: b.Proxy, Prefix: cmp.Or(b.Prefix, b.Proxy), Slots: 1})
	}
	return d
}

// rehearse does what a reload does, up to the replacement of the file.
func (f *findings) rehearse(ctx context.Context, cfg *config.Config, r config.Reload, t *reload.Transaction) {
	if r.File == "" || slices.ContainsFunc(f.list, func(one api.Finding) bool { return one.Verdict == api.VerdictFail }) {
		return // it was said what is wrong
	}
	if _, err := t.Rehearse(ctx, sampleData(cfg, r)); err != nil {
		f.add(api.VerdictFail, "a reload would fail: %v", err)
		return
	}
	switch {
	case len(r.Check) > 0 && r.Template != "":
		f.add(api.VerdictOK, "the check takes what is rendered, and the file can be replaced")
	case len(r.Check) > 0:
		f.add(api.VerdictOK, "the check takes the file")
	case r.Template != "":
		f.add(api.VerdictOK, "the file can be replaced")
	}
}

// template renders the template with one slot for each backend.
func (f *findings) template(cfg *config.Config, r config.Reload) {
	if err := reload.TryTemplate(r.Template, sampleData(cfg, r)); err != nil {
		f.add(api.VerdictFail, "reload.template: %v", err)
		return
	}
	f.add(api.VerdictOK, "%s is rendered from %s", r.File, r.Template)
}

// readable adds a finding unless path is a file that can be read, or need not be
// there.
func (f *findings) readable(key, path string, mayLack bool) {
	info, err := os.Stat(path)
	switch {
	case mayLack && errors.Is(err, fs.ErrNotExist):
	case err != nil:
		f.add(api.VerdictFail, "%s cannot be used: %v", key, err)
	case !info.Mode().IsRegular():
		f.add(api.VerdictFail, "%s: %s is no file", key, path)
	case syscall.Access(path, canRead) != nil:
		f.add(api.VerdictFail, "%s: %s cannot be read by this user: %s", key, path, askAgent)
	}
}

// writable adds a finding unless dir is a folder in which files can be made.
func (f *findings) writable(what, dir string) {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		f.add(api.VerdictFail, "%s %s, which cannot be used: %v", what, dir, err)
	case !info.IsDir():
		f.add(api.VerdictFail, "%s %s, which is no folder", what, dir)
	case syscall.Access(dir, canWrite) != nil:
		f.add(api.VerdictFail, "%s %s, which this user cannot write to: %s", what, dir, askAgent)
	}
}

// existing is path, or the nearest folder around it that is there.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

// tryDynamic says whether servers can be added to b at run time.
func (f *findings) tryDynamic(ctx context.Context, client *haproxy.Client, b config.Backend, servers []slots.Server) {
	prefix, _ := slotsOf(b, servers)
	if !b.Dynamic || prefix == "" {
		return
	}
	options := ""
	if b.DynamicOptions != "" {
		options = fmt.Sprintf(" with %q", b.DynamicOptions)
	}
	if err := client.TryDynamic(ctx, b.Proxy, prefix, b.DynamicOptions); err != nil {
		words := strings.TrimRight(err.Error(), ". ")
		f.add(api.VerdictFail, "servers cannot be added%s: %s: correct dynamic_options, or set `dynamic: false`", options, words)
		return
	}
	f.add(api.VerdictOK, "servers can be added%s when the slots run out", options)
}
