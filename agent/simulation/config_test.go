package simulation

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/agent/simulation/oracle"
	"github.com/slotsync/slotsync/agent/sources"
	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
)

// This file has the configuration of the agent, and changes it.

// A configuration is what can be changed at run time.
type configuration struct {
	backends  []backendSetting
	absent    map[int]bool    // backends that are not configured
	feeds     map[[2]int]bool // feeds that are not
	instances map[int]bool    // instances that are not
	renamed   map[int]bool    // instances that have another name than at the start
	elsewhere map[int]bool    // and those whose socket has
	deny      bool
	question  int           // how often the sources' questions changed
	reached   int           // how often it changed how the instances are reached
	keys      map[place]int // that have another value than at the start, and which
	noFiles   bool          // no instance has a state file
	template  int           // how often the template of HAProxy's file changed
	noReload  bool          // HAProxy is not reloaded
}

func (s setting) configuration() configuration {
	return configuration{backends: s.Backends, absent: map[int]bool{}, feeds: map[[2]int]bool{}, instances: map[int]bool{}, renamed: map[int]bool{}, elsewhere: map[int]bool{}, keys: map[place]int{}}
}

// called is what the agent knows a proxy by, socket where it is reached.
func (w *world) called(p *proxy) string {
	if w.conf.renamed[p.index] {
		return p.name + "2"
	}
	return p.name
}

func (w *world) socket(p *proxy) string {
	if w.conf.elsewhere[p.index] {
		return "/run/haproxy/" + p.name + ".sock"
	}
	return "/run/" + p.name + ".sock"
}

// nameOf is what the oracle knows an instance by, whatever the agent calls it.
func nameOf(called string) string { return strings.TrimSuffix(called, "2") }

// options are those of the configuration, and what the oracle is told of them.
func (w *world) options() (agent.Options, []oracle.Backend, []string) {
	s := w.plan.setting
	o := agent.Options{Timeout: s.Timeout, Poll: s.Poll, Resync: 10 * time.Second, StateDir: w.state, Disk: w.disk(w.life)}
	var told []oracle.Backend
	var names []string
	for i, p := range w.proxies {
		if w.conf.instances[i] {
			continue
		}
		pattern := ""
		if p.files != "" && !w.conf.noFiles {
			pattern = filepath.Join(p.files, "{backend}")
		}
		client, err := haproxy.New(haproxy.Options{Socket: w.socket(p), Timeout: s.Timeout, StateFile: pattern, Dial: w.life.dialTo(p)})
		w.must(err)
		o.Instances = append(o.Instances, agent.Instance{Name: w.called(p), Conn: mortalClient{client, w.life, w.disk(w.life)}, StateFile: pattern != "", Key: fmt.Sprint(w.socket(p), pattern, w.conf.reached)})
		names = append(names, p.name)
	}
	for i, b := range w.conf.backends {
		if !w.conf.absent[i] {
			one, judged := w.backend(i, b)
			o.Backends, told = append(o.Backends, one), append(told, judged)
		}
	}
	w.addReload(&o)
	w.setAll(&o)
	w.finishReload(&o)
	return o, told, names
}

func (w *world) backend(i int, b backendSetting) (agent.Backend, oracle.Backend) {
	hold := func(d time.Duration) time.Duration {
		switch {
		case d == 0:
			return guard.Off
		case d < 0:
			return guard.Never
		}
		return d
	}
	one := agent.Backend{
		Name: backendName(i), Proxy: backendName(i), Shutdown: b.Shutdown, Dynamic: b.Dynamic, RepairExternal: b.Repair, MaxSlots: 100,
		Guard:          guard.Rules{EmptyHold: hold(b.EmptyHold), RemovalHold: hold(b.Hold), MaxRemoval: b.MaxRemoval, Window: b.Window, TurnoverWait: hold(b.Turnover)},
		OnAllUnhealthy: agent.DropUnhealthy, Leave: slots.Maint,
	}
	if b.Keep {
		one.OnAllUnhealthy = agent.KeepUnhealthy
	}
	if b.Leave {
		one.Leave, one.Drain = slots.Drain, 10*time.Second
	}
	judged := oracle.Backend{
		Name: one.Name, Keep: b.Keep, Hold: b.Hold, EmptyHold: b.EmptyHold, Window: b.Window, MaxRemoval: b.MaxRemoval, Dynamic: b.Dynamic, Repair: b.Repair,
	}
	if b.Prefix {
		one.Prefix, judged.Prefix = "srv", "srv"
	}
	if w.conf.deny {
		denied := netip.PrefixFrom(netip.AddrFrom4([4]byte{127, byte(i + 1), 1, 1}), 32)
		one.Policy.Deny, judged.Deny = []netip.Prefix{denied}, []netip.Prefix{denied}
	}
	for j, s := range w.services[i] {
		if w.conf.feeds[[2]int{i, j}] {
			continue
		}
		one.Feeds = append(one.Feeds, agent.Feed{Name: s.name, Source: s.watch(w.life), Key: fmt.Sprint(s.name, w.conf.question, s.token), Identity: s.name})
		judged.Feeds = append(judged.Feeds, s.name)
	}
	if b.Failover && len(one.Feeds) > 1 {
		one.Failover = sources.Failover{Primary: one.Feeds[0].Name, After: 5 * time.Second, Back: 10 * time.Second}
		judged.Primary = one.Feeds[0].Name
	}
	w.setBackend(i, &one, &judged)
	return one, judged
}

// reconfigure has the agent go on with the configuration as it is now; if it refuses, with
// the one before.
func (w *world) reconfigure(before configuration) {
	o, told, names := w.options()
	o.Log, o.Metrics = slog.New(slog.DiscardHandler), nil
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for i, p := range w.proxies {
		if before.instances[i] && before.elsewhere[i] != w.conf.elsewhere[i] {
			w.oracleDo(func(j *oracle.Oracle) { j.Moved(p.name) })
		}
	}
	// the agent acts on it before it says so
	w.oracleDo(func(j *oracle.Oracle) { j.Configured(time.Now(), told, names) })
	if err := w.agent.Reconfigure(ctx, o); err != nil {
		w.logf("reconfigure: %v", err)
		w.conf = before
		_, told, names = w.options()
		w.oracleDo(func(j *oracle.Oracle) { j.Configured(time.Now(), told, names) })
	}
	if w.life.dead.Load() {
		return
	}
	w.oracleDo(func(j *oracle.Oracle) { j.Configured(time.Now(), told, names) })
	w.forgetRights()
}

// forgetRights has what is not configured any more be unknown.
func (w *world) forgetRights() {
	for i, list := range w.services {
		for j, s := range list {
			if w.conf.absent[i] || w.conf.feeds[[2]int{i, j}] {
				s.mu.Lock()
				s.truth = rights{}
				s.mu.Unlock()
			}
		}
	}
}
