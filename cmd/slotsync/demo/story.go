package demo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/demo/traffic"
)

const (
	// lookPace is how often slotsync's status is looked at: the grain of all
	// that is measured.
	lookPace = 2 * time.Millisecond
	// showPace is how often a terminal is refreshed.
	showPace = 100 * time.Millisecond
	// patience is how long something that is to be seen may take.
	patience = 10 * time.Second
	// farewell is how long an instance goes on serving after its name has left
	// the DNS and the hold, if there is one, is over.
	farewell = 2 * time.Second
)

// A story plays in a world and tells what happens.
type story struct {
	world  *world
	screen *screen
	load   *traffic.Traffic
	slow   *traffic.Traffic
	linger time.Duration // how long there is to look at each chapter
	began  time.Time

	named    []*server // by the DNS server now
	chapters int
	windows  []traffic.Window

	mu   sync.Mutex // guards following
	dns  string
	dead map[string]bool
}

func newStory(w *world, screen *screen, linger time.Duration) *story {
	return &story{
		world: w, screen: screen, linger: linger, began: time.Now(), dead: map[string]bool{},
		load: traffic.New(traffic.Options{Targets: w.Targets(), Workers: 4, Pause: 25 * time.Millisecond, Timeout: 5 * time.Second}),
		slow: traffic.New(traffic.Options{
			Targets: w.Targets(), Path: slowPath, Workers: 4, Pause: 10 * time.Millisecond, Timeout: 5 * time.Second,
		}),
	}
}

// Play plays the chapters, one after another, until one goes wrong.
func (s *story) Play(ctx context.Context) error {
	return inTurn(s.fill, s.grow, s.outage, s.kill, s.reload, s.shrink, s.replace, s.outgrow, s.end)(ctx)
}

func (s *story) fill(ctx context.Context) error {
	s.tell(fmt.Sprintf("Two HAProxies with %d empty slots each start, and DNS names three instances", slotCount),
		"See: both have A B C in the same slots. From now on requests go through both.")
	return inTurn(s.join(3), s.await("both serve A B C", s.served), s.requests(s.load), s.look(s.linger))(ctx)
}

func (s *story) grow(ctx context.Context) error {
	s.tell("Scale up: 3 -> 10", "See: D to J take free slots; A B C stay where they are.")
	return inTurn(s.join(7), s.await("both serve A to J", s.served), s.look(2*s.linger))(ctx)
}

func (s *story) outage(ctx context.Context) error {
	s.tell("Discovery fails: DNS answers SERVFAIL to everything", "See: nothing. An error never removes an instance.")
	s.world.DNS.fail(true)
	s.says("DNS answers SERVFAIL")
	if err := inTurn(s.await("slotsync has noticed", sourceIs("failing")), s.keeps(2*s.linger, "the slots as they were"))(ctx); err != nil {
		return err
	}
	s.world.DNS.fail(false)
	s.says(fmt.Sprintf("DNS names %d", len(s.named)))
	return s.await("DNS is back: slotsync has asked again, and nothing has changed", func(status api.Status) bool {
		return sourceIs("ok")(status) && s.served(status)
	})(ctx)
}

func (s *story) kill(ctx context.Context) error {
	victim := s.world.Proxies[1]
	s.tell("kill -9 of "+victim.Name+", and its start a moment later",
		"See: "+victim.Name+" comes back with all slots filled, from the state file that slotsync keeps.")
	end := s.load.OpenWindow(victim.Name)
	s.die(victim.Name, true)
	victim.Kill()
	if err := inTurn(s.look(s.linger), victim.Start)(ctx); err != nil {
		return err
	}
	window := end()
	s.die(victim.Name, false)
	s.windows = append(s.windows, window)
	s.screen.Say(fmt.Sprintf("   %s was dead for %.2f s; from now on each of its requests counts again",
		victim.Name, window.To.Sub(window.From).Seconds()))
	return inTurn(s.await(victim.Name+" serves A to J, and slotsync has compared all of its slots", func(status api.Status) bool {
		return restarted(status, victim.Name) > 0 && s.served(status)
	}), s.look(s.linger))(ctx)
}

func (s *story) reload(ctx context.Context) error {
	p := s.world.Proxies[0]
	s.tell("Reload of "+p.Name+" (SIGUSR2 to its master)", "See: a new worker starts with all slots filled; no request notices.")
	before := restarted(s.world.Agent.Status(), p.Name)
	if err := p.Reload(); err != nil {
		return err
	}
	return inTurn(s.await("the new worker serves A to J", func(status api.Status) bool {
		return restarted(status, p.Name) > before && s.served(status)
	}), s.look(s.linger))(ctx)
}

func (s *story) shrink(ctx context.Context) error {
	s.tell("Scale down: 10 -> 4, all at once",
		fmt.Sprintf("See: so many at once could be a mistake, so they are held for %s and asked for again; then E to J go.", hold))
	all := s.named
	s.leave(all[4:], hold+farewell+patience)
	if err := s.await("the guard holds the removal", held)(ctx); err != nil {
		return err
	}
	since := time.Now()
	if err := s.await("released: both serve A B C D", s.served)(ctx); err != nil {
		return err
	}
	if took := time.Since(since); took < hold-100*time.Millisecond {
		return fmt.Errorf("the removal was held for %s only", took)
	}
	s.world.Fleet.LeaveAfter(farewell, all[4:])
	return s.look(s.linger)(ctx)
}

// replace is a deployment: each instance that is there is replaced by another,
// under requests that take a while.
func (s *story) replace(ctx context.Context) error {
	s.tell("Deploy: each of A B C D is replaced by a new instance",
		fmt.Sprintf("See: what leaves has requests of %s under way, and they finish. It stops %s later and answers 503 from then on.", slowAnswer, farewell))
	s.slow.Start(ctx)
	for _, old := range slices.Clone(s.named) {
		if err := s.replaceOne(ctx, old); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) replaceOne(ctx context.Context, old *server) error {
	began := time.Now()
	if err := s.join(1)(ctx); err != nil {
		return err
	}
	fresh := s.named[len(s.named)-1]
	err := inTurn(
		s.wait(fresh.Name+" takes traffic", s.served),
		s.wait(old.Name+" has a slow request", func(api.Status) bool { return old.Running() > 0 }),
	)(ctx)
	if err != nil {
		return err
	}
	s.leave([]*server{old}, farewell)
	if err := s.wait(old.Name+" takes no new traffic", s.served)(ctx); err != nil {
		return err
	}
	busy := old.Running()
	if err := s.wait(old.Name+"'s requests end", func(api.Status) bool { return old.Running() == 0 })(ctx); err != nil {
		return err
	}
	s.screen.Say(s.screen.Style.seen(time.Since(began), fmt.Sprintf("%s in, %s out with %d slow requests under way, which have ended", fresh.Name, old.Name, busy)))
	return nil
}

// outgrow has slotsync reload both HAProxies, because there are more instances
// than slots.
func (s *story) outgrow(ctx context.Context) error {
	const more = 12
	s.tell(fmt.Sprintf("The service outgrows its slots: %d -> %d, and there are %d", len(s.named), len(s.named)+more, slotCount),
		"See: what fits goes in at once. For the rest, once DNS has named no more for 2 s, slotsync renders each haproxy.cfg\n"+
			"   with more slots, has it checked, and reloads HAProxy through its master: one after the other, and no request notices.")
	if err := s.start(more); err != nil {
		return err
	}
	s.publish() // and not join: what waits for a reload says nothing about how fast slotsync is
	if err := s.await(fmt.Sprintf("all %d slots are in use, %d instances wait", slotCount, len(s.named)-slotCount), func(status api.Status) bool {
		return outside(status) == len(s.named)-slotCount && full(status)
	})(ctx); err != nil {
		return err
	}
	for _, p := range s.world.Proxies {
		if err := s.await(p.Name+" is reloaded and serves K to Z", func(status api.Status) bool {
			return slices.Equal(sortedAddrs(serverAddrs(s.named)), servedBy(status, p.Name))
		})(ctx); err != nil {
			return errors.Join(err, reloadError(s.world.Agent.Status(), p.Name))
		}
	}
	return inTurn(s.wait("both are in sync", s.served), s.look(s.linger))(ctx)
}

// end waits until everybody who left has stopped, so that a request which still
// went there would be counted.
func (s *story) end(ctx context.Context) error {
	s.tell("All who left have stopped", "See: requests go on; one that still went to who has stopped would fail now.")
	return s.keeps(farewell+s.linger/2, "both serve K to Z")(ctx)
}

// Stop ends the requests and returns when the last one has been answered.
func (s *story) Stop() {
	s.slow.Stop()
	s.load.Stop()
}

// Summary returns what has come of it. problem is Play's error.
func (s *story) Summary(problem error) summary {
	m := summary{Tally: s.load.Tally(), Slow: s.slow.Tally(), Windows: s.windows, Began: s.began, Problem: problem}
	m.Served, m.Agent = s.world.Clock.Measured()
	return m
}

// Show refreshes the screen until ctx ends.
func (s *story) Show(ctx context.Context) {
	tick := time.NewTicker(showPace)
	defer tick.Stop()
	for {
		now := time.Now()
		s.screen.Show(s.screen.Style.view(s.facts(now)), now)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *story) facts(now time.Time) facts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return facts{
		Now: now, Began: s.began, Status: s.world.Agent.Status(), Tally: s.load.Tally(),
		Names: s.world.Fleet.Names(), Dead: maps.Clone(s.dead), DNS: s.dns,
	}
}
