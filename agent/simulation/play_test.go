package simulation

import (
	"os"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/agent/simulation/oracle"
	"github.com/slotsync/slotsync/discovery"
)

// This file takes the steps of a plan, and ends every fault in the end.

// play takes the steps of the plan.
func (w *world) play() {
	w.pass(3 * time.Second)
	for i, s := range w.plan.steps {
		if w.life.dead.Load() {
			w.reap()
			w.start()
		}
		w.logf("step %d: %s", i, s)
		w.seen.step(w, s.verb)
		w.do(s)
		w.pass(s.pause)
		if len(w.judged.Violations()) > 0 {
			return
		}
	}
	if w.plan.live {
		w.calm()
	}
}

// pass lets time pass, and looks at what the agent says every now and then.
func (w *world) pass(d time.Duration) {
	for end := time.Now().Add(d); ; {
		left := time.Until(end)
		time.Sleep(min(left, 7*time.Second))
		synctest.Wait()
		w.look()
		if left <= 7*time.Second {
			return
		}
	}
}

// calm ends every fault, has everything accepted and asked for end, gives time, and looks
// whether all is well.
func (w *world) calm() {
	if w.life.dead.Load() {
		w.reap()
		w.start()
	}
	w.fuse.Store(0)
	w.heal()
	for range 3 {
		w.pass(40 * time.Second)
		w.settleAll()
	}
	w.pass(90 * time.Second)
	if len(w.judged.Violations()) > 0 {
		return
	}
	before := map[string]int{}
	for _, p := range w.proxies {
		w.oracleDo(func(*oracle.Oracle) { before[p.name] = p.commands })
	}
	w.pass(45 * time.Second)
	status := w.status()
	w.oracleDo(func(o *oracle.Oracle) {
		o.Calmed(time.Now(), status)
		for _, p := range w.proxies {
			o.Quiet(time.Now(), p.name, p.commands-before[p.name])
		}
	})
}

// heal ends every fault.
func (w *world) heal() {
	w.unbreak()
	if w.site != nil {
		w.site.heal()
	}
	before := w.conf
	now := w.plan.setting.configuration()
	now.backends, now.question = w.conf.backends, w.conf.question
	w.conf = now
	w.reconfigure(before)
	for _, p := range w.proxies {
		p.heal()
		p.standard()
		for _, b := range p.backends {
			for _, s := range p.fake.Servers(b.Name) {
				p.fake.SetSessions(b.Name, s.Name, 0)
			}
		}
		p.restart(true)
	}
	for _, list := range w.services {
		for _, s := range list {
			s.heal()
			s.change(func() {
				for _, p := range s.parts {
					for a, state := range p.there {
						if state == discovery.Down {
							p.there[a] = discovery.Ready
						}
					}
				}
			})
		}
	}
}

func (w *world) unbreak() {
	if w.broken || w.slow.Swap(0) > 0 {
		w.oracleDo(func(o *oracle.Oracle) { o.Stored() })
	}
	if w.broken {
		w.broken = false
		w.must(os.Chmod(w.state, 0o700))
	}
}
