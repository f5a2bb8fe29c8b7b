package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/daemon"
	"github.com/slotsync/slotsync/cmd/slotsync/demo/traffic"
)

// What is set shorter in the demo than elsewhere, and how large it is.
const (
	refresh   = 200 * time.Millisecond // and once a second while there is no news
	hold      = 3 * time.Second
	slotCount = 12
)

// record is what the demo's DNS server is asked for.
const record = "_web._tcp.demo.test"

// A world is everything that the demo plays with: two HAProxies, the
// instances of a service, a DNS server, and slotsync between them.
type world struct {
	Proxies []*proxy
	Fleet   fleet
	Clock   clock
	Agent   *agent.Agent
	DNS     *dnsServer
	Dir     string

	log     *os.File
	locks   []io.Closer
	running sync.WaitGroup
}

// newWorld starts everything but the instances and the agent. What it has
// started is gone again if it fails.
func newWorld(ctx context.Context, binary, version string) (w *world, err error) {
	w = &world{}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	// The folder's name is short: the path of a socket has at most 107 bytes.
	if w.Dir, err = os.MkdirTemp("", "ss-demo-"); err != nil {
		return w, err
	}
	if w.DNS, err = listenDNS(); err != nil {
		return w, err
	}
	for _, name := range []string{"edge-1", "edge-2"} {
		p, err := newProxy(w.Dir, name, binary)
		if err != nil {
			return w, err
		}
		w.Proxies = append(w.Proxies, p)
		if err := p.Start(ctx); err != nil {
			return w, err
		}
	}
	w.Agent, err = w.newAgent(version)
	return w, err
}

// newAgent makes slotsync of a configuration, as `slotsync run` does.
func (w *world) newAgent(version string) (*agent.Agent, error) {
	file := filepath.Join(w.Dir, "slotsync.yaml")
	err := os.WriteFile(file, []byte(w.configuration()), 0o600)
	if err != nil {
		return nil, err
	}
	cfg, err := config.Load(file, config.Environment{})
	if err != nil {
		return nil, err
	}
	wiring, err := daemon.Wire(cfg, nil)
	if err != nil {
		return nil, err
	}
	for _, client := range wiring.Clients {
		lock, err := client.Lock()
		if err != nil {
			return nil, err
		}
		w.locks = append(w.locks, lock)
	}
	wiring.Sources[0][0] = clockedSource{wiring.Sources[0][0], &w.Clock}
	if w.log, err = os.Create(filepath.Join(w.Dir, "slotsync.log")); err != nil {
		return nil, err
	}
	return daemon.NewAgent(cfg, wiring, daemon.Options{Log: w.log, Version: version})
}

// configuration is the slotsync.yaml of the demo.
func (w *world) configuration() string {
	var b strings.Builder
	fmt.Fprintf(&b, `state_dir: %q
guard: {empty_hold: %s, removal_hold: %[2]s}
sources: [{name: dns, type: dns, servers: [%[3]q], min_refresh: %[4]s, max_refresh: %[4]s}]
backends: [{name: web, slots: web, source: dns, record: %[5]s}]
haproxy:
  instances:
`, filepath.Join(w.Dir, "state"), hold, w.DNS.addr, refresh, record)
	for _, p := range w.Proxies {
		fmt.Fprintf(&b, `    - name: %s
      socket: %q
      state_file: %q
      reload: {master: %q, template: %q, file: %q, check: [%q, -c, -f, "{{.File}}"], min_interval: 0s, jitter: 0s, timeout: %s}
`, p.Name, p.Socket, p.StateFile, p.Master, p.Template, p.Config, p.binary, startLimit)
	}
	return b.String()
}

// Run sets slotsync going until ctx ends; Close waits for it. failed is called
// if it ends before.
func (w *world) Run(ctx context.Context, failed func(error)) {
	w.running.Go(func() {
		if err := w.Agent.Run(ctx); ctx.Err() == nil {
			failed(errors.Join(errors.New("slotsync ended by itself"), err))
		}
	})
}

// Look returns slotsync's status, and has the clock look at it.
func (w *world) Look() api.Status {
	status := w.Agent.Status()
	w.Clock.Look(status, time.Now())
	return status
}

// Publish makes the DNS server name servers and nobody else.
func (w *world) Publish(servers []*server) {
	targets := map[string]netip.AddrPort{}
	for _, s := range servers {
		targets[strings.ToLower(s.Name)+".web.demo.test."] = s.Addr
	}
	w.DNS.publish(targets)
}

// Targets returns where traffic is to be sent.
func (w *world) Targets() []traffic.Target {
	targets := make([]traffic.Target, 0, len(w.Proxies))
	for _, p := range w.Proxies {
		targets = append(targets, traffic.Target{Name: p.Name, Addr: p.Frontend})
	}
	return targets
}

// LastWords returns the end of what slotsync has logged.
func (w *world) LastWords() string { return tail(w.log.Name()) }

// Close waits for slotsync to end (the context of Run has to have ended), ends
// all processes, and leaves nothing behind. Its error is that of something that
// could not be removed.
func (w *world) Close() error {
	w.running.Wait()
	for _, p := range w.Proxies {
		p.Kill()
	}
	w.Fleet.Close()
	var errs []error
	for _, lock := range w.locks {
		errs = append(errs, lock.Close())
	}
	if w.DNS != nil {
		errs = append(errs, w.DNS.close())
	}
	if w.log != nil {
		errs = append(errs, w.log.Close())
	}
	if w.Dir != "" {
		errs = append(errs, os.RemoveAll(w.Dir))
	}
	return errors.Join(errs...)
}

func serverAddrs(servers []*server) []netip.AddrPort {
	addrs := make([]netip.AddrPort, 0, len(servers))
	for _, s := range servers {
		addrs = append(addrs, s.Addr)
	}
	return addrs
}
