package reload

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/slotsync/slotsync/slots"
)

// await polls every instance, each for itself, until it shows a process that
// accept has nothing against, or ctx is done. It returns those that did, also
// with an error, which names the others.
func (t *Transaction) await(ctx context.Context, accept func(name string, p slots.Process) error) (map[string]slots.Process, error) {
	shown := make([]slots.Process, len(t.o.Instances))
	errs := make([]error, len(t.o.Instances))
	var wg sync.WaitGroup
	for i, in := range t.o.Instances {
		wg.Go(func() { shown[i], errs[i] = awaitOne(ctx, in, accept) })
	}
	wg.Wait()
	answered := make(map[string]slots.Process, len(shown))
	for i, in := range t.o.Instances {
		if errs[i] == nil {
			answered[in.Name()] = shown[i]
		}
	}
	return answered, errors.Join(errs...)
}

func awaitOne(ctx context.Context, in Instance, accept func(string, slots.Process) error) (slots.Process, error) {
	var reason error
	for {
		p, err := probe(ctx, in)
		if err == nil {
			err = accept(in.Name(), p)
		}
		if err == nil {
			return p, nil
		}
		// that time was up says less than what was found before
		if reason == nil || ctx.Err() == nil {
			reason = err
		}
		select {
		case <-ctx.Done():
			return slots.Process{}, fmt.Errorf("%s: %w", in.Name(), reason)
		case <-time.After(pollEvery):
		}
	}
}

func probe(ctx context.Context, in Instance) (slots.Process, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return in.Process(ctx)
}

// serves accepts any process that takes changes.
func serves(_ string, p slots.Process) error {
	if p.Stopping {
		return fmt.Errorf("HAProxy's process %d is stopping, and no new one answers", p.Pid)
	}
	return nil
}

// successor accepts a process that serves and is not the one of before.
func successor(before map[string]slots.Process) func(string, slots.Process) error {
	return func(name string, p slots.Process) error {
		if p.Same(before[name]) {
			return fmt.Errorf("HAProxy's process %d from before still answers, and no new one", p.Pid)
		}
		return serves(name, p)
	}
}

// An aftermath is who serves once a reload has failed.
type aftermath struct{ old, renewed, dead []string }

// inspect finds out who serves. Instances that did not answer before either are
// not counted as dead.
func (t *Transaction) inspect(ctx context.Context, before map[string]slots.Process) aftermath {
	ctx, cancel := context.WithTimeout(ctx, min(probeTimeout, t.o.Timeout))
	defer cancel()
	now, _ := t.await(ctx, serves)
	var found aftermath
	for _, in := range t.o.Instances {
		p, answers := now[in.Name()]
		was, known := before[in.Name()]
		switch {
		case answers && known && p.Same(was):
			found.old = append(found.old, in.Name())
		case answers && known:
			found.renewed = append(found.renewed, in.Name())
		case known:
			found.dead = append(found.dead, in.Name())
		}
	}
	return found
}

func (f aftermath) String() string {
	var parts []string
	for _, part := range []struct {
		names []string
		say   string
	}{
		{f.old, "the worker from before serves on"},
		{f.renewed, "a new worker serves"},
		{f.dead, "nobody answers"},
	} {
		if len(part.names) > 0 {
			parts = append(parts, strings.Join(part.names, ", ")+": "+part.say)
		}
	}
	return strings.Join(parts, "; ")
}
