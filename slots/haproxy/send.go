package haproxy

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// send sends the steps on as few lines as may be, and reads the backends with
// the last of them. It returns once all is answered. Unless it is to be brief,
// the process shows itself at the end.
func (r *round) send(ctx context.Context, steps []step, backends []string, brief bool) error {
	reads := make([]read, 0, len(backends))
	for _, b := range backends {
		reads = append(reads, read{backend: b})
	}
	for len(steps)+len(reads) > 0 {
		limit := r.c.lineLimit()
		text, n := r.pack(steps, limit)
		l := readLine{line: line{write: text, writes: n, brief: true, queued: r.queues && setsAddr(steps[:n])}}
		lines := packReads(reads, limit)
		if n == len(steps) && len(lines) > 0 && (n == 0 || len(lines) == 1 && len(text)+len(lines[0].read) < limit) {
			l.read, l.line.reads, l.reads = lines[0].read, len(lines[0].reads), lines[0].reads
			l.brief = brief
		}
		err := r.exchange(ctx, l, steps[:n])
		if r.c.shorten(err) {
			continue
		}
		if err != nil {
			return err
		}
		steps, reads = steps[n:], reads[len(l.reads):]
	}
	return nil
}

// setsAddr reports whether some of steps give a server another address.
func setsAddr(steps []step) bool {
	return slices.ContainsFunc(steps, func(s step) bool { return s.kind == addrKind })
}

// pack writes as many of the steps on a line as it takes, one at least.
func (r *round) pack(steps []step, limit int) (text []byte, n int) {
	text = make([]byte, 0, min(limit, 64*len(steps)+256))
	for n < len(steps) {
		end := len(text)
		if n > 0 {
			text = append(text, ';')
		}
		text, _ = r.appendStep(text, steps[n])
		if len(text) > limit && n > 0 {
			return text[:end], n
		}
		n++
	}
	return text, n
}

// appendStep appends the command of s. Changes that cannot be written were
// rejected before.
func (r *round) appendStep(b []byte, s step) ([]byte, error) {
	ch := r.changes[s.change]
	switch s.kind {
	case addrKind:
		return appendAddr(b, ch.Backend, ch.Slot, ch.Addr)
	case weightKind:
		return appendWeight(b, ch.Backend, ch.Slot, ch.Weight)
	case addKind:
		if s.check != "" {
			return appendServer(b, "enable "+s.check, ch.Backend, ch.Slot, "")
		}
		return appendAdd(b, ch.Backend, ch.Slot, ch.Addr, ch.Weight, ch.Options)
	case delKind:
		return appendServer(b, "del server", ch.Backend, ch.Slot, "")
	case agentKind:
		verb := "disable agent"
		if s.class == slots.Ready {
			verb = "enable agent"
		}
		return appendServer(b, verb, ch.Backend, ch.Slot, "")
	case shutKind:
		return appendServer(b, shutVerb, ch.Backend, ch.Slot, "")
	}
	return appendState(b, ch.Backend, ch.Slot, s.class)
}

// exchange sends one line of this round, unless another process answers than
// the one that is meant, and notes what came back.
func (r *round) exchange(ctx context.Context, l readLine, steps []step) error {
	p, err := r.c.current(ctx)
	if err != nil {
		return err
	}
	if !p.Same(r.seen) || p.Stopping {
		return restarted(r.c.at, r.seen, p, false)
	}
	before := r.wrote
	r.wrote = r.wrote || len(steps) > 0
	a, err := r.c.ask(ctx, l.line)
	if isTooBig(err) {
		r.wrote = before
	}
	if _, sent := slots.FaultOf(err); err == nil || sent {
		r.record(l.write, steps, a.writes)
	}
	if err != nil {
		return err
	}
	if !l.brief && (!a.process.Same(r.seen) || a.process.Stopping) {
		return restarted(r.c.at, r.seen, a.process, r.wrote)
	}
	r.note(steps, a.writes)
	r.counts[showKind][okResult] += len(l.reads)
	if !l.brief {
		r.counts[showKind][okResult]++
	}
	return r.addView(l.reads, a)
}

// record keeps the command and the reply of each step: parts of the line and of the
// answer, not copied.
func (r *round) record(line []byte, steps []step, replies []string) {
	if len(steps) == 0 {
		return
	}
	now, said := time.Now(), &r.outcome.Exchanges
	if *said == nil {
		*said = make([]slots.Exchange, 0, 3*len(r.changes)) // address, weight and state
	}
	rest := string(line)
	for i, s := range steps {
		e := slots.Exchange{Backend: r.changes[s.change].Backend, Slot: r.changes[s.change].Slot, At: now}
		e.Command, rest, _ = strings.Cut(rest, ";")
		if e.Answered = i < len(replies); e.Answered {
			e.Reply = replies[i]
		}
		*said = append(*said, e)
	}
}

func (r *round) addView(reads []read, a answer) error {
	view := &r.outcome.View
	if err := mergeReads(view.Servers, nil, reads, a.reads); err != nil {
		return garbled(false, "%s: %w", r.c.at, err)
	}
	if a.process.Pid != 0 {
		view.Process = a.process
	}
	return nil
}

// note classifies the replies. If they cannot be told apart, the read-back decides.
func (r *round) note(steps []step, replies []string) {
	for i, s := range steps {
		if i >= len(replies) {
			r.counts[s.kind][okResult] += len(steps) - i
			return
		}
		res, cause := classify(s.kind, replies[i])
		r.counts[s.kind][res]++
		f := &r.fates[s.change]
		if cause != "" && f.cause == "" {
			f.cause, f.reply = cause, replies[i]
		}
	}
}

func (r *round) backendsOf(steps []step) []string {
	var list []string
	for _, s := range steps {
		if b := r.changes[s.change].Backend; !slices.Contains(list, b) {
			list = append(list, b)
		}
	}
	return list
}

// finder returns a function that finds the server of a change in what was read.
func (r *round) finder() func(slots.Change) (slots.Server, bool) {
	of := make(map[string]func(string) *slots.Server, len(r.backends))
	return func(ch slots.Change) (slots.Server, bool) {
		if of[ch.Backend] == nil {
			of[ch.Backend] = slots.FindNamed(r.outcome.View.Servers[ch.Backend])
		}
		if s := of[ch.Backend](ch.Slot); s != nil {
			return *s, true
		}
		return slots.Server{}, false
	}
}
