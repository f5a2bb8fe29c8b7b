package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// startLimit bounds how long an HAProxy may take until it serves.
const startLimit = 5 * time.Second

// errNoHAProxy says where an HAProxy was looked for.
var errNoHAProxy = errors.New("no HAProxy found: install it, run `make deps`, or name one with --haproxy PATH")

// findHAProxy returns the HAProxy to use: named if it is not "", else the one
// that `make deps` laid out in deps or, upwards from dir, in .cache/deps, else
// the one in PATH.
func findHAProxy(named, deps, dir string) (string, error) {
	if named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("--haproxy: %w", err)
		}
		return filepath.Abs(path)
	}
	for _, folder := range depsFolders(deps, dir) {
		path := filepath.Join(folder, "haproxy-2.6", "haproxy")
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	path, err := exec.LookPath("haproxy")
	if err != nil {
		return "", errNoHAProxy
	}
	return filepath.Abs(path)
}

func depsFolders(deps, dir string) []string {
	if deps != "" {
		return []string{deps}
	}
	var folders []string
	for {
		folders = append(folders, filepath.Join(dir, ".cache", "deps"))
		parent := filepath.Dir(dir)
		if parent == dir {
			return folders
		}
		dir = parent
	}
}

// haproxyVersion returns the first line of what the binary says about itself,
// which also proves that it runs here.
func haproxyVersion(ctx context.Context, binary string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, "-v").Output()
	if err != nil {
		return "", fmt.Errorf("%s -v: %w", binary, err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line, nil
}

// A proxy is one HAProxy: a process that can be killed and started again
// at the same place.
type proxy struct {
	Name string
	// Frontend is where it serves, Socket its Runtime API, Master the socket of its
	// master; StateFile is what slotsync writes for it, with {backend} for the name
	// of the backend.
	Frontend, Socket, Master, StateFile string
	// Config is what it is started with, Template what slotsync renders that from
	// when there are to be more slots.
	Config, Template string

	binary, log string
	process     *exec.Cmd
	ended       chan struct{}
}

// newProxy writes the configuration of an HAProxy and its template into dir.
// Nothing runs yet.
func newProxy(dir, name, binary string) (*proxy, error) {
	frontend, err := freeAddress()
	if err != nil {
		return nil, err
	}
	states := filepath.Join(dir, name)
	if err := os.Mkdir(states, 0o700); err != nil {
		return nil, err
	}
	p := &proxy{
		Name: name, Frontend: frontend, StateFile: filepath.Join(states, "{backend}"),
		Socket: filepath.Join(dir, name+".sock"), Master: filepath.Join(dir, name+"-master.sock"),
		Config: filepath.Join(dir, name+".cfg"), Template: filepath.Join(dir, name+".cfg.tmpl"),
		binary: binary, log: filepath.Join(dir, name+".log"),
	}
	first := fmt.Sprintf("server-template web 1-%d slot.invalid:1 init-addr last,127.0.0.1 disabled weight 100", slotCount)
	if err := os.WriteFile(p.Config, []byte(proxyConfig(p.Frontend, p.Socket, states, first)), 0o600); err != nil {
		return nil, err
	}
	return p, os.WriteFile(p.Template, []byte(proxyConfig(p.Frontend, p.Socket, states, `{{serverTemplate "web" "weight 100"}}`)), 0o600)
}

// proxyConfig is the configuration of an HAProxy as it is recommended, with this
// line for its slots. They have no health checks, so that nothing but slotsync
// keeps requests away from an instance that has stopped.
func proxyConfig(frontend, socket, states, template string) string {
	return fmt.Sprintf(`global
    stats socket %s mode 600 level admin expose-fd listeners
    stats maxconn 50
    server-state-base %s
    hard-stop-after 10s
    maxconn 1000

defaults
    mode http
    timeout connect 1s
    timeout client 30s
    timeout server 30s
    retries 3
    option redispatch 1
    option idle-close-on-response
    load-server-state-from-file local

frontend public
    bind %s
    default_backend web

backend web
    balance roundrobin
    server-state-file-name use-backend-name
    %s
`, socket, states, frontend, template)
}

// freeAddress returns an address of 127.0.0.1 that nobody listens on now.
func freeAddress() (string, error) {
	listener, err := listenLocal()
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// Start starts the process and returns when it takes connections. It dies with
// ctx.
func (p *proxy) Start(ctx context.Context) error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p.process = exec.CommandContext(ctx, p.binary, "-W", "-S", p.Master, "-f", p.Config)
	p.process.Stdout, p.process.Stderr = log, log
	// A group of its own: a Ctrl-C on the terminal is for the demo alone, and
	// workers end with their master.
	p.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.process.Cancel = func() error { return syscall.Kill(-p.process.Process.Pid, syscall.SIGKILL) }
	if err := p.process.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	ended := make(chan struct{})
	p.ended = ended
	process := p.process
	go func() { _ = process.Wait(); close(ended) }()
	return p.serves(ctx)
}

func (p *proxy) serves(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.Frontend); err == nil {
			return conn.Close()
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended at its start: %s", p.Name, tail(p.log))
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve: %w", p.Name, ctx.Err())
		case <-tick.C:
		}
	}
}

// tail returns the end of a file, or why it cannot be read.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text[max(0, len(text)-2000):]))
}

// Kill ends the process and its workers without warning (SIGKILL) and returns
// when it is gone. A process that does not run is left alone.
func (p *proxy) Kill() {
	if p.ended == nil {
		return
	}
	_ = syscall.Kill(-p.process.Process.Pid, syscall.SIGKILL) // gone already
	<-p.ended
	p.ended = nil
}

// Reload asks the master to start over with a new worker, while the old one
// finishes what it has. It returns at once.
func (p *proxy) Reload() error { return p.process.Process.Signal(syscall.SIGUSR2) }
