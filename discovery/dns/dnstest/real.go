package dnstest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"github.com/slotsync/slotsync/tools/loopback"
)

// realTimeout bounds the start of a real server and the taking over of a zone.
const realTimeout = 20 * time.Second

// A Real is a real DNS server: one process on a free port of the loopback
// interface, over UDP and TCP. It is killed when the test ends. Its methods are
// for one goroutine at a time, except Addr.
type Real struct {
	tb      TB
	kind    kind
	dir     string
	port    int
	version int
	zone    Zone
	process *exec.Cmd // nil if it does not run
	exited  chan struct{}
}

// StartBind starts BIND's named as the authority for zone, and returns when it
// answers. Answers to SRV questions have the targets' addresses along.
// The binary is bind9/named in the folder that SLOTSYNC_DEPS names, .cache/deps of
// the module without it; where it is missing the test fails. So it is with the
// other real servers.
func StartBind(tb TB, zone Zone) *Real {
	tb.Helper()
	return startReal(tb, bind(), zone)
}

// StartUnbound starts unbound with zone as data of its own, and returns when it
// answers.
func StartUnbound(tb TB, zone Zone) *Real {
	tb.Helper()
	return startReal(tb, unbound(""), zone)
}

// StartForwarder starts an unbound that caches what the server at addr
// ("127.0.0.1:port") answers, and knows nothing itself. It returns when it answers,
// for which addr need not. Change is not for it.
func StartForwarder(tb TB, addr string) *Real {
	tb.Helper()
	return startReal(tb, unbound(addr), Zone{Name: "forwarder.invalid"})
}

// StartDnsmasq starts dnsmasq with zone, and returns when it answers.
func StartDnsmasq(tb TB, zone Zone) *Real {
	tb.Helper()
	return startReal(tb, dnsmasq(), zone)
}

func startReal(tb TB, k kind, zone Zone) *Real {
	tb.Helper()
	dir, err := os.MkdirTemp("", "ss")
	if err != nil {
		tb.Fatal(err)
	}
	s := &Real{tb: tb, kind: k, dir: dir, zone: zone}
	tb.Cleanup(func() {
		s.Kill()
		if err := os.RemoveAll(dir); err != nil {
			tb.Fatal(err)
		}
	})
	for range 3 { // a free port may be taken between finding and using it
		if s.port, err = loopback.Port(); err == nil {
			err = s.run()
		}
		if err == nil {
			return s
		}
		s.Kill()
	}
	tb.Fatal(fmt.Errorf("start %s: %w\n%s", k.name, err, s.log()))
	return nil
}

// Addr returns "127.0.0.1:port", the same for UDP and TCP, and after a restart.
func (s *Real) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// Change has the server answer with zone, and returns when it does: by SIGHUP
// where that is enough, else by a restart, during which it does not answer.
func (s *Real) Change(zone Zone) {
	s.tb.Helper()
	s.zone = zone
	s.version++
	if !s.kind.reloads {
		s.Restart()
		return
	}
	err := s.write()
	if err == nil {
		err = s.process.Process.Signal(syscall.SIGHUP)
	}
	if err == nil {
		err = s.ready()
	}
	if err != nil {
		s.tb.Fatal(fmt.Errorf("change the zone of %s: %w\n%s", s.kind.name, err, s.log()))
	}
}

// Kill ends the process as a crash would and returns when it is gone. It may be
// called again.
func (s *Real) Kill() {
	if s.process == nil {
		return
	}
	// With its children, which serve connections. It may have ended by itself.
	_ = syscall.Kill(-s.process.Process.Pid, syscall.SIGKILL)
	<-s.exited
	s.process = nil
}

// Restart kills the process if it runs and starts it on the same port, with the
// zone that it had last. It returns when it answers.
func (s *Real) Restart() {
	s.tb.Helper()
	s.Kill()
	err := s.released()
	if err == nil {
		err = s.run()
	}
	if err != nil {
		s.tb.Fatal(fmt.Errorf("restart %s: %w\n%s", s.kind.name, err, s.log()))
	}
}

// released returns when nobody has the port any more, which children of the
// process may have for a moment longer.
func (s *Real) released() error {
	ctx, cancel := context.WithTimeout(context.Background(), realTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", s.Addr())
		if err == nil {
			return l.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

func (s *Real) run() error {
	path, err := binary(s.kind.path)
	if err == nil {
		err = s.write()
	}
	if err != nil {
		return err
	}
	log, err := os.Create(s.file("log"))
	if err != nil {
		return err
	}
	defer log.Close()
	process := exec.Command(path, s.kind.args(s.dir)...)
	process.Dir = s.dir
	process.Stdout, process.Stderr = log, log
	process.Env = []string{"HOME=" + s.dir, "PATH=" + os.Getenv("PATH"), "OPENSSL_CONF=/dev/null"}
	// The process must not outlive a test that is killed.
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := process.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	s.process, s.exited = process, exited
	go func() {
		defer close(exited)
		_ = process.Wait() // a kill is the way it ends
	}()
	return s.ready()
}

func (s *Real) file(name string) string { return filepath.Join(s.dir, name) }

// write renders the server's files. Each version is a second younger than the one
// before, since servers skip files that seem unchanged.
func (s *Real) write() error {
	at := time.Now().Add(time.Duration(s.version)*time.Second - time.Hour)
	for name, content := range s.kind.files(setup{dir: s.dir, port: s.port, version: s.version, zone: s.zone}) {
		err := os.WriteFile(s.file(name), []byte(content), 0o644)
		if err := cmp.Or(err, os.Chtimes(s.file(name), at, at)); err != nil {
			return err
		}
	}
	return nil
}

// ready returns when the server answers with the version that was written.
func (s *Real) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), realTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		served, err := s.served(ctx)
		if err == nil && served == strconv.Itoa(s.version) {
			return nil
		}
		select {
		case <-s.exited:
			return errors.New("the process ended")
		case <-ctx.Done():
			return fmt.Errorf("it serves version %q, not %d, after %s: %v", served, s.version, realTimeout, err)
		case <-tick.C:
		}
	}
}

// served asks which version of the zone is served.
func (s *Real) served(ctx context.Context) (string, error) {
	q := new(dns.Msg)
	q.SetQuestion(dot(s.zone.versionName()), dns.TypeTXT)
	c := dns.Client{Timeout: 200 * time.Millisecond} // a starting server may lose a question
	m, _, err := c.ExchangeContext(ctx, q, s.Addr())
	if err != nil {
		return "", err
	}
	for _, rr := range m.Answer {
		if txt, ok := rr.(*dns.TXT); ok && len(txt.Txt) == 1 {
			return txt.Txt[0], nil
		}
	}
	return "", fmt.Errorf("no version: %s", dns.RcodeToString[m.Rcode])
}

func (s *Real) log() string {
	raw, _ := os.ReadFile(s.file("log")) // for a message only
	return string(raw)
}

// binary returns where a real server is; path is below the folder of dependencies.
func binary(path string) (string, error) {
	deps := os.Getenv("SLOTSYNC_DEPS")
	if deps == "" {
		root, err := moduleRoot()
		if err != nil {
			return "", err
		}
		deps = filepath.Join(root, ".cache", "deps")
	}
	path, err := filepath.Abs(filepath.Join(deps, path))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return "", fmt.Errorf("run make deps: %w", err)
	}
	return path, nil
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not within a Go module")
		}
		dir = parent
	}
	return "", err
}
