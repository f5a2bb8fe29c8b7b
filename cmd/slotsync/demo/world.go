package demo

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/cmd/slotsync/daemon"
	"github.com/slotsync/slotsync/cmd/slotsync/demo/traffic"
	"github.com/slotsync/slotsync/discovery/dns"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/reload"
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

// newAgent wires slotsync as `slotsync run` does.
func (w *world) newAgent(version string) (*agent.Agent, error) {
	state := filepath.Join(w.Dir, "state")
	err := os.Mkdir(state, 0o700)
	if err != nil {
		return nil, err
	}
	if w.log, err = os.Create(filepath.Join(w.Dir, "slotsync.log")); err != nil {
		return nil, err
	}
	client, err := dns.NewClient(dns.Options{Servers: []string{w.DNS.addr}, MinRefresh: refresh, MaxRefresh: refresh})
	if err != nil {
		return nil, err
	}
	source, err := client.Source(dns.Query{Record: record})
	if err != nil {
		return nil, err
	}
	instances, reloads, err := w.instances(filepath.Join(state, "haproxy"))
	if err != nil {
		return nil, err
	}
	_, m := daemon.NewMetrics(version)
	return agent.New(agent.Options{
		Instances: instances, Reloads: reloads,
		Backends: []agent.Backend{{
			Name: "web", Proxy: "web", Prefix: "web",
			Feeds: []agent.Feed{{Name: "dns", Source: clockedSource{source, &w.Clock}, Key: record}},
			Guard: guard.Rules{
				EmptyHold: hold, RemovalHold: hold,
				MaxRemoval: guard.DefaultMaxRemoval, Window: guard.DefaultWindow,
			},
		}},
		StateDir: state,
		Log:      slog.New(slog.NewTextHandler(w.log, nil)),
		Metrics:  m,
	})
}

// instances returns the HAProxies as slotsync knows them, and how each is
// reloaded. Versions of their configurations are kept in folders of versions.
func (w *world) instances(versions string) ([]agent.Instance, []agent.Reload, error) {
	var instances []agent.Instance
	var reloads []agent.Reload
	for _, p := range w.Proxies {
		conn, err := haproxy.New(haproxy.Options{Socket: p.Socket, StateFile: p.StateFile})
		if err != nil {
			return nil, nil, err
		}
		lock, err := conn.Lock()
		if err != nil {
			return nil, nil, err
		}
		w.locks = append(w.locks, lock)
		transaction, err := p.transaction(conn, filepath.Join(versions, p.Name))
		if err != nil {
			return nil, nil, err
		}
		instances = append(instances, agent.Instance{Name: p.Name, Conn: conn, Key: p.Socket})
		reloads = append(reloads, agent.Reload{Name: p.Name, Key: p.Master, Instances: []string{p.Name}, Transaction: transaction})
	}
	return instances, reloads, nil
}

// transaction is how slotsync gives p more slots: as it does where the
// configuration has template, file, check and master under reload.
func (p *proxy) transaction(conn *haproxy.Client, versions string) (*reload.Transaction, error) {
	master, err := haproxy.NewMaster(p.Master, startLimit)
	if err != nil {
		return nil, err
	}
	return reload.New(reload.Options{
		Template: p.Template, File: p.Config, Check: []string{p.binary, "-c", "-f", "{{.File}}"},
		Dir: versions, Timeout: startLimit, Reloader: master, Instances: []reload.Instance{daemon.Process{Instance: p.Name, Client: conn}},
	})
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
