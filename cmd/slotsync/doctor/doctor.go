// Package doctor asks live instances and sources what may go wrong, and what to do about it.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/daemon"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
)

// findings collects what doctor sees of one subject.
type findings struct {
	subject string
	list    []api.Finding
	slots   map[string]int // of an instance: how many each of our backends has there
}

func (f *findings) add(verdict, format string, args ...any) {
	f.list = append(f.list, api.Finding{Verdict: verdict, Subject: f.subject, Text: textfmt.OneLine(fmt.Sprintf(format, args...))})
}

// askAgent is what to do where this user's rights are in the way: they are the agent's only if that
// runs as this user.
const askAgent = "if slotsync runs as another one, have it ask (slotsync doctor --inside), else change owner or mode"

// examineEnvironment looks for variables that were perhaps meant for slotsync.
func examineEnvironment(env config.Environment) []api.Finding {
	f := findings{subject: "environment"}
	for _, m := range env.Misspelt() {
		f.add(api.VerdictWarn, "%s", m)
	}
	return f.list
}

// Failed reports whether something does not work.
func Failed(list []api.Finding) bool {
	return slices.ContainsFunc(list, func(f api.Finding) bool { return f.Verdict == api.VerdictFail })
}

// Write prints findings, one a line.
func Write(w io.Writer, list []api.Finding) error {
	for _, f := range list {
		if _, err := fmt.Fprintf(w, "%-4s  %s: %s\n", f.Verdict, f.Subject, f.Text); err != nil {
			return err
		}
	}
	return nil
}

// Examine returns what may go wrong with cfg, whose clients are in w, and what is fine. With
// onlyRead no server is added to an HAProxy, not even for a moment.
func Examine(ctx context.Context, env config.Environment, cfg *config.Config, w daemon.Wiring, onlyRead bool) []api.Finding {
	return slices.Concat(examineEnvironment(env), examineSecrets(cfg), examineFolders(cfg), examineLive(ctx, cfg, w, onlyRead))
}

// examineLive asks everybody at the same time and returns what was found, in the
// order of the configuration.
func examineLive(ctx context.Context, cfg *config.Config, w daemon.Wiring, onlyRead bool) []api.Finding {
	var wg sync.WaitGroup
	instances := make([]findings, len(cfg.Instances))
	processes := make([]slots.Process, len(cfg.Instances))
	for i := range cfg.Instances {
		wg.Go(func() { instances[i], processes[i] = examineInstance(ctx, cfg, i, w.Clients[i], onlyRead) })
	}
	var sources []api.Finding
	wg.Go(func() { sources = examineSources(ctx, cfg, w) })
	wg.Wait()
	reloads := make([]findings, len(cfg.Reloads))
	for i, r := range cfg.Reloads {
		wg.Go(func() {
			reloads[i] = examineReload(ctx, cfg, r, processes)
			reloads[i].rehearse(ctx, cfg, r, w.Transactions[i])
		})
	}
	wg.Wait()
	var list []api.Finding
	for i, f := range instances {
		list = append(list, f.list...)
		if processes[i].Pid == 0 {
			continue
		}
		if j := slices.IndexFunc(processes[:i], processes[i].Same); j >= 0 {
			list = append(list, api.Finding{Verdict: api.VerdictFail, Subject: f.subject, Text: config.SameProcess(cfg.Instances[j].Name, cfg.Instances[i].Name, processes[i]).Error()})
		}
	}
	list = append(list, judgeSlots(cfg.Backends, instances)...)
	for _, f := range reloads {
		list = append(list, f.list...)
	}
	return append(list, sources...)
}

func examineInstance(ctx context.Context, cfg *config.Config, i int, client *haproxy.Client, onlyRead bool) (findings, slots.Process) {
	in := cfg.Instances[i]
	f := findings{subject: "instance " + in.Name, slots: map[string]int{}}
	asking, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	process, err := client.Info(asking)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%s takes the connection and does not answer within %s: HAProxy hangs, or all `stats maxconn` connections are taken", in.Socket, cfg.Timeout)
		}
		f.add(api.VerdictFail, "%v", err)
		return f, process
	}
	f.add(api.VerdictOK, "%s answers, pid %d", in.Socket, process.Pid)
	admin := f.level(asking, client)
	f.lock(client)
	f.list = append(f.list, judgeVersion(f.subject, process.Version)...)
	view, err := client.View(ctx, nil, false)
	if err != nil {
		f.add(api.VerdictFail, "its servers cannot be read: %v", err)
		return f, process
	}
	running := runningAs(process.Pid)
	f.checkStateFile(in, cfg.Backends, process.Pid)
	for _, b := range cfg.Backends {
		if len(b.Instances) == 0 || slices.Contains(b.Instances, in.Name) {
			judged, n := judgeBackend(in, b, view)
			f.slots[b.Name] = n
			judged.judgeLoading(in, b.Proxy, running)
			judged.judgeWarnings(in, view.Servers[b.Proxy], running)
			if admin {
				judged.askResolvers(ctx, client, b, view.Servers[b.Proxy])
			}
			if admin && !onlyRead {
				judged.tryDynamic(ctx, client, b, view.Servers[b.Proxy])
			}
			f.list = append(f.list, judged.list...)
		}
	}
	return f, process
}

// lock says what the lock does not keep out.
func (f *findings) lock(client *haproxy.Client) {
	switch doubt, squatted := client.LockDoubt(); {
	case squatted:
		f.add(api.VerdictWarn, "%s", doubt)
	case doubt != "":
		f.add(api.VerdictOK, "%s", doubt)
	}
}

// level reports whether the socket has the level that changes need.
func (f *findings) level(ctx context.Context, client *haproxy.Client) (admin bool) {
	level, err := client.Level(ctx)
	switch {
	case err != nil:
		f.add(api.VerdictFail, "the level of the socket is not known: %v", err)
	case level != "admin":
		f.add(api.VerdictFail, "the socket has level %s, and changing servers needs admin: write `stats socket … level admin`", level)
	default:
		f.add(api.VerdictOK, "the socket has level admin")
		return true
	}
	return false
}
