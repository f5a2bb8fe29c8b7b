package haproxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

// A Worker is one worker process of a master (Management Guide, 9.4, "show
// proc").
type Worker struct {
	Pid     int
	Version string        // of the program that it runs
	Age     time.Duration // since it was started, in whole seconds
	Reloads int           // that it has seen, failed ones included
	// Old: it was told to end and serves what connections it has left. In 3.2 the
	// worker that serves is Old, too, for as long as a configuration is loaded: the
	// process that loads it is listed as the new worker already.
	Old bool
}

// processes are what "show proc" shows. Programs are left out.
type processes struct {
	pid     int // of the master
	version string
	reloads int
	failed  int      // of them, since the last that was none
	workers []Worker // the newest first
}

// current returns the pid of the worker that serves; 0 if there is none.
func (p processes) current() int {
	for _, w := range p.workers {
		if !w.Old {
			return w.Pid
		}
	}
	return 0
}

// parseProcesses understands "show proc" of 2.6 to 3.4.
func parseProcesses(text string) (processes, error) {
	var p processes
	header, rest, _ := strings.Cut(text, "\n")
	if got := strings.Join(strings.Fields(header), " "); got != "#<PID> <type> <reloads> <uptime> <version>" {
		return p, fmt.Errorf("show proc: %q is no answer of a HAProxy's from 2.6 on", printable(header))
	}
	section, n := "", 1
	for line := range strings.SplitSeq(rest, "\n") {
		n++
		if name, ok := strings.CutPrefix(line, "# "); ok || line == "" {
			section = name
			continue
		}
		if err := p.add(section, line); err != nil {
			return processes{}, fmt.Errorf("show proc: line %d: %w", n, err)
		}
	}
	if p.pid == 0 {
		return processes{}, errors.New("show proc: no master")
	}
	p.settle()
	return p, nil
}

func (p *processes) add(section, line string) error {
	switch section {
	case "":
		return p.addMaster(line)
	case "workers", "old workers":
		w, err := parseWorker(strings.Fields(line))
		w.Old = section == "old workers"
		p.workers = append(p.workers, w)
		return err
	}
	return nil
}

// addMaster understands the first line, in which "[failed: N]" follows on the
// reloads.
func (p *processes) addMaster(line string) error {
	f := strings.Fields(line)
	if len(f) < 5 || f[1] != "master" || f[3] != "[failed:" || p.pid != 0 {
		return fmt.Errorf("%q is no master", printable(line))
	}
	failed, err := number(strings.TrimSuffix(f[4], "]"))
	if err != nil {
		return err
	}
	f = slices.Delete(f, 3, 5)
	f[1] = "worker"
	w, err := parseWorker(f)
	p.pid, p.version, p.reloads, p.failed = w.Pid, w.Version, w.Reloads, failed
	return err
}

// settle puts the workers in order. After a failed reload some versions list the
// worker that serves as an old one: it is the newest.
func (p *processes) settle() {
	slices.SortStableFunc(p.workers, func(a, b Worker) int { return a.Reloads - b.Reloads })
	if p.failed > 0 && p.current() == 0 && len(p.workers) > 0 {
		p.workers[0].Old = false
	}
}

// parseWorker understands PID, "worker", reloads, uptime and version.
func parseWorker(f []string) (w Worker, err error) {
	if len(f) != 5 || f[1] != "worker" {
		return w, fmt.Errorf("%q is no process", printable(strings.Join(f, " ")))
	}
	if w.Pid, err = number(f[0]); err != nil {
		return w, err
	}
	if w.Reloads, err = number(f[2]); err != nil {
		return w, err
	}
	if w.Age, err = parseUptime(f[3]); err != nil {
		return w, err
	}
	w.Version = discovery.Printable(f[4], 64)
	if w.Pid == 0 {
		return w, errors.New("a pid of 0")
	}
	return w, nil
}

// number understands what HAProxy prints with %u, up to 31 bits.
func number(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%q is no number", printable(s))
	}
	return int(n), nil
}

// parseUptime understands 1d02h03m04s.
func parseUptime(s string) (time.Duration, error) {
	rest, total := s, time.Duration(0)
	for _, u := range [...]struct {
		mark string
		unit time.Duration
		most int
	}{{"d", 24 * time.Hour, 99_999}, {"h", time.Hour, 23}, {"m", time.Minute, 59}, {"s", time.Second, 59}} {
		digits, after, ok := strings.Cut(rest, u.mark)
		n, err := number(digits)
		if !ok || err != nil || n > u.most {
			return 0, fmt.Errorf("%q is no uptime", printable(s))
		}
		total, rest = total+time.Duration(n)*u.unit, after
	}
	if rest != "" {
		return 0, fmt.Errorf("%q is no uptime", printable(s))
	}
	return total, nil
}

// Sessions returns how many connections a worker has, as its own "show info"
// says. Of an old one they are those that it waits for.
func (m *Master) Sessions(ctx context.Context, pid int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	raw, err := m.ask(ctx, fmt.Sprintf("@!%d show info", pid), false)
	if err != nil {
		return 0, err
	}
	n, err := parseConnections(raw)
	if err != nil {
		return 0, garbled(false, "%s: worker %d: %w", m.at, pid, err)
	}
	return n, nil
}

// parseConnections understands the answer to "show info", as far as connections
// go.
func parseConnections(text string) (int, error) {
	for line := range strings.SplitSeq(text, "\n") {
		if v, ok := strings.CutPrefix(line, "CurrConns: "); ok {
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 {
				return 0, fmt.Errorf("show info: CurrConns: %q is no number", printable(v))
			}
			return n, nil
		}
	}
	return 0, errors.New("show info: no CurrConns: has it ended?")
}
