package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/slotsync/slotsync/cmd/slotsync/demo/traffic"
)

// A load asks targets without end. Half of its clients open a connection for
// each request, the others keep theirs, and ask once more on a new connection
// if a kept one turns out to be closed, as browsers do (RFC 9110, 9.2.2).
type load struct {
	pause   time.Duration
	workers sync.WaitGroup

	mu      sync.Mutex
	windows []traffic.Window
	account loadAccount
}

// loadTimeout bounds one request.
const loadTimeout = 5 * time.Second

// loadAccount is what came of all requests.
type loadAccount struct {
	Requests, Repeated, Excused, Failed int
	ByTarget                            map[string]int
	Failures                            []string // the first ones
}

// startLoad sets n clients going at every target, until the test ends or stop is
// called.
func startLoad(tb testing.TB, n int, pause time.Duration, targets ...traffic.Target) (l *load, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	l = &load{pause: pause, account: loadAccount{ByTarget: map[string]int{}}}
	o := traffic.Options{Timeout: loadTimeout}
	for _, target := range targets {
		for i := range n {
			l.workers.Go(func() { l.work(ctx, traffic.NewClient(o, target, i%2 == 1)) })
		}
	}
	stop = func() { cancel(); l.workers.Wait() }
	tb.Cleanup(stop)
	return l, stop
}

func (l *load) work(ctx context.Context, c *traffic.Client) {
	defer c.Close()
	tick := time.NewTicker(l.pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		kept := c.Kept()
		r := c.Ask(ctx)
		repeated := kept && r.Err != nil && r.Status == 0 && r.Took < loadTimeout
		if repeated {
			r = c.Ask(ctx)
		}
		if ctx.Err() == nil {
			l.book(r, repeated)
		}
	}
}

// book counts r. No connection, or one that breaks, is excused in a window;
// an answer that says "503" never is.
func (l *load) book(r traffic.Request, repeated bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &l.account
	a.Requests++
	a.ByTarget[r.Target]++
	if repeated {
		a.Repeated++
	}
	switch {
	case !r.Failed():
	case r.Status == 0 && slices.ContainsFunc(l.windows, func(w traffic.Window) bool { return w.Excuses(r) }):
		a.Excused++
	default:
		if a.Failed++; a.Failed <= 10 {
			a.Failures = append(a.Failures, r.String())
		}
	}
}

// window says that target is being killed, until the returned function is
// called.
func (l *load) window(target string) (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := len(l.windows)
	l.windows = append(l.windows, traffic.Window{Target: target, From: time.Now()})
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.windows[i].To = time.Now()
	}
}

// Account returns what came of the requests so far.
func (l *load) Account() loadAccount {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.account
}

// reaches waits until there were so many requests that none of them failing says something: on a busy machine what they
// are to outlast is over sooner.
func (l *load) reaches(tb testing.TB, requests int) {
	tb.Helper()
	eventually(tb, time.Minute, func() string {
		if n := l.Account().Requests; n < requests {
			return fmt.Sprintf("%d requests, want %d", n, requests)
		}
		return ""
	})
}
