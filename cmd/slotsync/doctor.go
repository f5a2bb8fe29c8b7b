package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/daemon"
	"github.com/slotsync/slotsync/cmd/slotsync/output"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/reload"
)

// The verdicts of a finding.
const (
	verdictOK   = "ok"
	verdictWarn = "warn"
	verdictFail = "fail"
)

// A finding is one thing that doctor looked at.
type finding struct {
	Verdict string `json:"verdict"` // ok, warn, fail
	Subject string `json:"subject"` // as in "instance edge-1"
	Text    string `json:"text"`    // what is, and what to do about it
}

// findings collects what doctor sees of one subject.
type findings struct {
	subject string
	list    []finding
	slots   map[string]int // of an instance: how many each of our backends has there
}

func (f *findings) add(verdict, format string, args ...any) {
	f.list = append(f.list, finding{verdict, f.subject, textfmt.OneLine(fmt.Sprintf(format, args...))})
}

func newDoctorCommand(a *app) *cobra.Command {
	var d config.Inline
	var format string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Ask the live instances and sources what may go wrong",
		Long: `Ask every HAProxy and every source, and say what is fine, what is doubtful and
what does not work, and what to do about it. Nothing is changed; of a backend
with dynamic: true, a server is added in maintenance and deleted at once. Exit 1
if anything fails.`,
		Example: `  slotsync doctor
  slotsync doctor -o json
  slotsync doctor --socket /run/haproxy/admin.sock --backend web --consul web`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := knownOutput(format); err != nil {
				return err
			}
			cfg, err := a.loadOnce(d)
			if err != nil {
				return err
			}
			w, err := daemon.Wire(cfg, nil)
			if err != nil {
				return err
			}
			c := clients{w.Clients, w.Transactions, w.Sources, w.Systems.Diagnosers()}
			list := slices.Concat(examineEnvironment(a.env), examineSecrets(cfg), examineFolders(cfg), examine(cmd.Context(), cfg, c))
			if err := cmd.Context().Err(); err != nil {
				return err // what was cut short looks as if it were at fault
			}
			if err := printFindings(a.stdout, list, format); err != nil {
				return err
			}
			if slices.ContainsFunc(list, func(f finding) bool { return f.Verdict == verdictFail }) {
				return &exitError{code: exitFailed}
			}
			return nil
		},
	}
	outputFlag(cmd, &format)
	inlineFlags(cmd, &d)
	return cmd
}

// clients are what is asked, made of a configuration.
type clients struct {
	instances []*haproxy.Client       // in the order of the configuration
	reloads   []*reload.Transaction   // in that of the reloads
	sources   [][]discovery.Source    // in that of the backends and their feeds
	diagnose  map[string]diagnoseFunc // of a source as a whole, by its key; none where its parts say all
}

// A diagnoseFunc looks at a source, of which so many services are watched.
type diagnoseFunc = func(ctx context.Context, watches int) []discovery.Finding

// examineEnvironment looks for variables that were perhaps meant for slotsync.
func examineEnvironment(env config.Environment) []finding {
	f := findings{subject: "environment"}
	for _, m := range env.Misspelt() {
		f.add(verdictWarn, "%s", m)
	}
	return f.list
}

func printFindings(w io.Writer, list []finding, format string) error {
	if format == "json" {
		return output.WriteJSON(w, list)
	}
	for _, f := range list {
		if _, err := fmt.Fprintf(w, "%-4s  %s: %s\n", f.Verdict, f.Subject, f.Text); err != nil {
			return err
		}
	}
	return nil
}

// examine asks everybody at the same time and returns what was found, in the
// order of the configuration.
func examine(ctx context.Context, cfg *config.Config, c clients) []finding {
	var wg sync.WaitGroup
	instances := make([]findings, len(cfg.Instances))
	processes := make([]slots.Process, len(cfg.Instances))
	for i := range cfg.Instances {
		wg.Go(func() { instances[i], processes[i] = examineInstance(ctx, cfg, i, c.instances[i]) })
	}
	var sources []finding
	wg.Go(func() { sources = examineSources(ctx, cfg, c) })
	wg.Wait()
	reloads := make([]findings, len(cfg.Reloads))
	for i, r := range cfg.Reloads {
		wg.Go(func() {
			reloads[i] = examineReload(ctx, cfg, r, processes)
			reloads[i].rehearse(ctx, cfg, r, c.reloads[i])
		})
	}
	wg.Wait()
	var list []finding
	for i, f := range instances {
		list = append(list, f.list...)
		if processes[i].Pid == 0 {
			continue
		}
		if j := slices.IndexFunc(processes[:i], processes[i].Same); j >= 0 {
			list = append(list, finding{verdictFail, f.subject, config.SameProcess(cfg.Instances[j].Name, cfg.Instances[i].Name, processes[i]).Error()})
		}
	}
	list = append(list, judgeSlots(cfg.Backends, instances)...)
	for _, f := range reloads {
		list = append(list, f.list...)
	}
	return append(list, sources...)
}

func examineInstance(ctx context.Context, cfg *config.Config, i int, client *haproxy.Client) (findings, slots.Process) {
	in := cfg.Instances[i]
	f := findings{subject: "instance " + in.Name, slots: map[string]int{}}
	asking, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	process, err := client.Info(asking)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%s takes the connection and does not answer within %s: HAProxy hangs, or all `stats maxconn` connections are taken", in.Socket, cfg.Timeout)
		}
		f.add(verdictFail, "%v", err)
		return f, process
	}
	f.add(verdictOK, "%s answers, pid %d", in.Socket, process.Pid)
	admin := f.level(asking, client)
	f.list = append(f.list, judgeVersion(f.subject, process.Version)...)
	view, err := client.View(ctx, nil, false)
	if err != nil {
		f.add(verdictFail, "its servers cannot be read: %v", err)
		return f, process
	}
	f.checkStateFile(in, cfg.Backends, process.Pid)
	for _, b := range cfg.Backends {
		if len(b.Instances) == 0 || slices.Contains(b.Instances, in.Name) {
			judged, n := judgeBackend(in, b, view)
			f.slots[b.Name] = n
			judged.judgeLoading(in, b.Proxy, process.Pid)
			judged.judgeWarnings(in, view.Servers[b.Proxy], process.Pid)
			if admin {
				judged.askResolvers(ctx, client, b, view.Servers[b.Proxy])
				judged.tryDynamic(ctx, client, b, view.Servers[b.Proxy])
			}
			f.list = append(f.list, judged.list...)
		}
	}
	return f, process
}

// level reports whether the socket has the level that changes need.
func (f *findings) level(ctx context.Context, client *haproxy.Client) (admin bool) {
	level, err := client.Level(ctx)
	switch {
	case err != nil:
		f.add(verdictFail, "the level of the socket is not known: %v", err)
	case level != "admin":
		f.add(verdictFail, "the socket has level %s, and changing servers needs admin: write `stats socket … level admin`", level)
	default:
		f.add(verdictOK, "the socket has level admin")
		return true
	}
	return false
}

func candidates(prefixes []string) string {
	if len(prefixes) == 0 {
		return "there are none: add a server-template"
	}
	return "the candidates are " + strings.Join(prefixes, ", ")
}
