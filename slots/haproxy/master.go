package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

const (
	// reloadTimeout stands for a timeout of 0.
	reloadTimeout = time.Minute
	// refusing is how long a master may refuse connections before a reload, in
	// which it may be because of another one.
	refusing = 20 * time.Second
	// between is how long a master is left alone before it is asked once more.
	between = 20 * time.Millisecond
	// maxWords (bytes) and maxAlerts (runes of one line) bound what is passed on of
	// HAProxy's words.
	maxWords, maxAlerts = 64 << 10, 500
)

// A Master speaks to the master CLI of one HAProxy, the one of `haproxy -W -S`
// (Management Guide, 9.4 "Master CLI"). Each command has a connection of its own
// and is read to the end. Methods may be called at the same time. What keeps a
// master from being asked is a [slots.InstanceError].
type Master struct{ listener }

// NewMaster returns the master behind socket, which is a path, unix:///path or
// tcp://host:port. The timeout is for one call as a whole, the loading of the
// configuration included; 0 stands for a minute. It connects to nothing; the
// error says what is wrong with the arguments.
func NewMaster(socket string, timeout time.Duration) (*Master, error) {
	l, err := newListener(socket, timeout, reloadTimeout)
	if err != nil {
		return nil, err
	}
	return &Master{l}, nil
}

// Workers lists the worker processes, the newest first, as `show proc` does.
// Up to 3.0 a master takes no connections while it loads a configuration, later
// ones for a moment only: that is [slots.Absent]. It needs the level operator from 3.2 on.
func (m *Master) Workers(ctx context.Context) ([]Worker, error) {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	p, err := m.processes(ctx)
	return p.workers, err
}

// Reload has the master load its configuration and returns when it has, with
// what HAProxy says about it: lines without a final line feed; none before 2.7.
// An error means that the old worker goes on, unless it is an
// [slots.InstanceError] with Sent, after which that is not known. It needs the
// level operator.
func (m *Master) Reload(ctx context.Context) (words string, err error) {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	before, raw, err := m.begin(ctx)
	if err != nil {
		return "", err
	}
	if raw == "" {
		// up to 2.6 nothing is said; later ones say nothing if another reload
		// came first
		return "", m.compare(ctx, before)
	}
	return verdict(m.at, raw)
}

// begin sends the command, and returns what the processes were and the answer.
func (m *Master) begin(ctx context.Context) (before processes, raw string, err error) {
	for {
		if before, err = m.before(ctx); err != nil {
			return before, "", err
		}
		raw, err = m.ask(ctx, "reload", true)
		// refused: somebody else's reload has come between
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return before, raw, err
		}
	}
}

// before returns the processes once the master shows them: it may be loading a
// configuration for somebody else and take no connections.
func (m *Master) before(ctx context.Context) (processes, error) {
	ctx, cancel := context.WithTimeout(ctx, refusing)
	defer cancel()
	return m.await(ctx, func(processes) bool { return true })
}

// compare waits until the master has loaded a configuration since before, and
// says whether it has a new worker.
func (m *Master) compare(ctx context.Context, before processes) error {
	after, err := m.await(ctx, func(p processes) bool { return p.pid != before.pid || p.reloads > before.reloads })
	if e, ok := errors.AsType[*slots.InstanceError](err); ok {
		e.Sent = true // and nobody knows what became of it
	}
	if err != nil {
		return err
	}
	return came(m.at, before, after)
}

// came says how a reload came out, going by what `show proc` shows before it and
// after.
func came(at address, before, after processes) error {
	switch {
	case after.pid != before.pid:
		return fmt.Errorf("%s: HAProxy was restarted meanwhile: process %d answers, not %d", at, after.pid, before.pid)
	case after.failed > 0, after.current() == before.current():
		return fmt.Errorf("%s: HAProxy %s did not start a worker with its new configuration (failed reloads: %d); this version says why in its log alone: see journalctl -u haproxy",
			at, after.version, after.failed)
	}
	return nil
}

func (m *Master) await(ctx context.Context, wanted func(processes) bool) (processes, error) {
	tick := time.NewTicker(between)
	defer tick.Stop()
	var last error // why not yet
	for {
		p, err := m.processes(ctx)
		switch {
		case err == nil && wanted(p):
			return p, nil
		case err == nil:
			last = fault(slots.Hung, "%s has not begun to load its configuration", m.at)
		case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, errDropped):
			last = err
		case last == nil, !isTimeout(err):
			return processes{}, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return processes{}, last
		}
	}
}

// errDropped says that a master has closed a connection without an answer, which
// it does when it executes itself anew.
var errDropped = errors.New("the master has closed the connection: it loads its configuration")

func (m *Master) processes(ctx context.Context) (processes, error) {
	raw, err := m.ask(ctx, "show proc", false)
	switch {
	case err != nil:
		return processes{}, err
	case raw == "":
		return processes{}, fault(slots.Restarted, "%s: %w", m.at, errDropped)
	}
	if err := refusal(m.at, "show proc", raw); err != nil {
		return processes{}, err
	}
	p, err := parseProcesses(raw)
	if err != nil {
		return processes{}, garbled(false, "%s: %w", m.at, err)
	}
	return p, nil
}

// ask returns the whole answer to one command; "" if the master drops the
// connection. The line ends in "quit" because a master CLI never closes by
// itself. acts says whether the command changes anything.
func (m *Master) ask(ctx context.Context, command string, acts bool) (string, error) {
	conn, err := m.at.dial(ctx, &m.dialer)
	if err != nil {
		return "", masterFault(m.at, cause(ctx, err))
	}
	// what is said about a reload may have empty lines
	raw, err := m.askAlone(ctx, conn, command+";quit", maxAnswer, acts)
	if errors.Is(err, syscall.ECONNRESET) {
		return "", nil
	}
	return raw, err
}

// masterFault says what a failed connect means, and what to do about it.
func masterFault(a address, err error) *slots.InstanceError {
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		return fault(slots.Absent, "no socket at %s: is HAProxy running, with `-W -S` and this path?", a)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault(slots.Absent, "nobody listens on %s: HAProxy is not running, or loads its configuration: %w", a, syscall.ECONNREFUSED)
	case errors.Is(err, fs.ErrPermission):
		return fault(slots.Denied, "permission denied on %s: %s; add this user to the group or start HAProxy with `-S %s,group,…,mode,660`", a, ownership(a.addr), a)
	case errors.Is(err, syscall.EAGAIN):
		return fault(slots.Crowded, "the master takes no more connections on %s", a)
	}
	return dialFault(a, err)
}

// refusal says why raw is no answer to command.
func refusal(at address, command, raw string) error {
	switch {
	case strings.HasPrefix(raw, "Unknown command"):
		return garbled(false, "%s knows no %q: this is a `stats socket`; use the socket of the master, that of `haproxy -W -S`", at, command)
	case strings.HasPrefix(raw, "Permission denied"):
		return fault(slots.Denied, "%s refuses %q: start HAProxy with `-S %s,level,operator`", at, command, at)
	}
	return nil
}

// verdict understands the answer to "reload", as it is from 2.7 on.
func verdict(at address, raw string) (words string, err error) {
	if err := refusal(at, "reload", raw); err != nil {
		return "", err
	}
	first, log, _ := strings.Cut(strings.TrimRight(raw, "\n"), "\n")
	var lines []string
	for line := range strings.SplitSeq(strings.TrimPrefix(log, "--\n"), "\n") {
		lines = append(lines, discovery.Printable(line, maxAlerts))
	}
	words = strings.Join(lines, "\n")
	switch {
	case len(words) > maxWords:
		words = strings.ToValidUTF8(words[:maxWords], "")
	case words == "--":
		words = ""
	}
	switch first {
	case "Success=1":
		return words, nil
	case "Success=0":
		return words, fmt.Errorf("%s: HAProxy has not loaded its configuration: %s", at, discovery.Printable(alerts(lines), maxAlerts))
	}
	return "", garbled(true, "%s: reload: %q is no answer of HAProxy's", at, printable(raw))
}

// alerts are the lines that say why, on one line: all of them if none is marked
// so.
func alerts(lines []string) string {
	var out []string
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, "[ALERT]"); ok {
			_, text, _ := strings.Cut(rest, ") : ")
			out = append(out, text)
		}
	}
	if len(out) == 0 {
		out = lines
	}
	return strings.Join(out, "; ")
}
