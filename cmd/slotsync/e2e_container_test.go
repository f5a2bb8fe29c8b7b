package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery/dns/dnstest"
)

const (
	sidecarRecord = "_http._tcp.web.default.svc.cluster.local"
	sidecarEdge   = "127.0.0.1:8080"
	sidecarAgent  = "unix:///run/haproxy/slotsync.sock"
)

// A sidecar is the pod of examples/sidecar, and the service behind it.
type sidecar struct {
	*podman
	t       *testing.T
	dns     *dnstest.Server
	file    string   // the manifest, as it is played
	socket  string   // HAProxy's
	probe   []string // of slotsync
	serving []*webServer
	started int
}

// TestContainer runs the pod of examples/sidecar, with 20 instances of a service that its
// DNS names, and does to it what happens to pods.
func TestContainer(t *testing.T) {
	if !inPrivate(t, "SLOTSYNC_CONTAINER") {
		return
	}
	s := startSidecar(t)
	t.Run("hardened", s.hardened)
	t.Run("rolling deploy", func(t *testing.T) { underLoad(t, sidecarEdge, func(func() func()) { s.deploy(t, 5) }) })
	t.Run("slotsync is restarted and killed", func(t *testing.T) {
		underLoad(t, sidecarEdge, func(func() func()) { s.endSlotsync(t) })
	})
	t.Run("HAProxy is reloaded, restarted and killed", func(t *testing.T) { underLoad(t, sidecarEdge, func(away func() func()) { s.endHAProxy(t, away) }) })
	t.Run("one writer, in whatever network", s.oneWriter)
	t.Run("nothing is left", s.nothingLeft)
}

// startSidecar plays the manifest and waits until everything is in service.
func startSidecar(t *testing.T) *sidecar {
	s := &sidecar{podman: newPodman(t), t: t, dns: dnstest.NewServer(t)}
	s.do("load", "-q", "-i", imageArchive)
	s.importHAProxy("3.0")
	s.file = s.manifest(t)
	s.publish(s.start(20))
	s.do("kube", "play", "--network", "host", s.file)
	s.socket = filepath.Join(s.volume("run"), "admin.sock")
	s.inService(t)
	s.wantHealth(t, "", "")
	return s
}

// manifest is the example's, with this DNS, with DNS that is asked every second, and without
// ports that podman would publish and the probe, which README.md leaves out for podman, too.
func (s *sidecar) manifest(t *testing.T) string {
	text, err := os.ReadFile("../../examples/sidecar/kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if probe := regexp.MustCompile(`command: \[(/usr/local/bin/slotsync,.*)\]`).FindSubmatch(text); probe != nil {
		s.probe = strings.Split(strings.ReplaceAll(string(probe[1]), `"`, ""), ", ")
	}
	for _, edit := range [][2]string{
		{`(?m)^          livenessProbe:\n(            .*\n)+`, ""}, // podman 4 runs it by a shell
		{`(?m)^(        )type: dns.*$`, "${1}type: dns\n${1}servers: [\"" + s.dns.Addr() + "\"]"},
		{`max_refresh: 5s`, `max_refresh: 1s`},
		{`(?m)^          ports:\n.*containerPort.*\n`, ""},
		{`localhost/slotsync:latest`, s.do("images", "-q", "--filter", "reference=localhost/slotsync")},
	} {
		pattern := regexp.MustCompile(edit[0])
		if !pattern.Match(text) {
			t.Fatalf("the manifest has nothing like %s", edit[0])
		}
		text = pattern.ReplaceAll(text, []byte(edit[1]))
	}
	path := filepath.Join(s.dir, "kubernetes.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// start adds n instances, which are not published yet.
func (s *sidecar) start(n int) (fresh []*webServer) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.t.Fatal(err)
		}
		s.started++
		w := startWebServer(fmt.Sprintf("web-%d", s.started), l)
		s.t.Cleanup(w.Close)
		fresh = append(fresh, w)
	}
	return fresh
}

// publish has DNS name these and no others.
func (s *sidecar) publish(servers []*webServer) {
	s.serving = servers
	var targets []dnstest.Target
	for i, w := range servers {
		targets = append(targets, dnstest.Target{Name: fmt.Sprintf("web-%d.web.default.svc.cluster.local", i), Port: w.Addr.Port(),
			Addrs: []netip.Addr{w.Addr.Addr()}})
	}
	s.dns.SetSRV(sidecarRecord, time.Second, targets...)
}

func (s *sidecar) addresses() (list []string) {
	for _, w := range s.serving {
		list = append(list, w.Addr.String())
	}
	return list
}

// inService waits until HAProxy has what DNS names.
func (s *sidecar) inService(t *testing.T) {
	t.Helper()
	eventually(t, time.Minute, servesAgain(t, s.socket, s.addresses()...))
}

// shutdownDelay is how long an instance serves on after HAProxy has it out of service.
const shutdownDelay = 500 * time.Millisecond

// deploy replaces every instance, some at a time: those that go serve until they are out.
func (s *sidecar) deploy(t *testing.T, batch int) {
	t.Helper()
	for n := len(s.serving); n > 0; n -= batch {
		old := s.serving[:batch]
		s.publish(slices.Concat(s.serving[batch:], s.start(batch)))
		s.inService(t)
		// A request may be on its way that HAProxy has sent before, on a connection that seems
		// idle to its server: what a shutdown delay is for.
		during(t, shutdownDelay, servesAgain(t, s.socket, s.addresses()...))
		for _, w := range old {
			if err := w.http.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// endSlotsync restarts it, kills it, and deploys after each: nobody notices.
func (s *sidecar) endSlotsync(t *testing.T) {
	before := s.pid("edge-pod-0-slotsync")
	s.do("restart", "-t", "5", "edge-pod-0-slotsync")
	eventually(t, time.Minute, s.another("edge-pod-0-slotsync", before))
	s.deploy(t, 10)
	before = s.pid("edge-pod-0-slotsync")
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, s.another("edge-pod-0-slotsync", before))
	s.deploy(t, 10)
	s.wantHealth(t, "", "--strict")
}

// endHAProxy reloads it, restarts it and kills it: it comes up filled each time, so that
// whoever is connected is served. While it is away nobody can be.
func (s *sidecar) endHAProxy(t *testing.T, away func() func()) {
	files := filepath.Join(s.volume("state"), "servers", "web")
	if _, err := os.Stat(files); err != nil {
		t.Errorf("the folder of state_file was not made: %v", err)
	}
	s.do("kill", "-s", "USR2", "edge-pod-0-haproxy")
	s.deploy(t, 10)
	before := s.pid("edge-pod-0-haproxy")
	back := away()
	s.do("restart", "-t", "5", "edge-pod-0-haproxy")
	eventually(t, time.Minute, s.another("edge-pod-0-haproxy", before))
	s.inService(t)
	back()
	before, back = s.pid("edge-pod-0-haproxy"), away()
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, s.another("edge-pod-0-haproxy", before))
	s.inService(t)
	back()
	s.wantHealth(t, "", "--strict")
}

// wantHealth asks as a probe does; words are what it has to say if it fails.
func (s *sidecar) wantHealth(t *testing.T, words, flag string) {
	t.Helper()
	args := []string{"exec", "edge-pod-0-slotsync", "/usr/local/bin/slotsync", "health", "--agent", sidecarAgent}
	if flag != "" {
		args = append(args, flag)
	}
	eventually(t, 20*time.Second, func() string {
		out, err := s.try(args...)
		if (err == nil) != (words == "") || !strings.Contains(out, words) {
			return fmt.Sprintf("health %s: %v, %s", flag, err, out)
		}
		return ""
	})
}

// hardened: no root, no rights, nothing that can be written to but the volumes.
func (s *sidecar) hardened(t *testing.T) {
	if out, err := s.try(append([]string{"exec", "edge-pod-0-slotsync"}, s.probe...)...); err != nil || len(s.probe) < 2 {
		t.Errorf("the liveness probe %q: %v, %s", s.probe, err, out)
	}
	for _, name := range []string{"edge-pod-0-slotsync", "edge-pod-0-haproxy"} {
		proc := fmt.Sprintf("/proc/%d/", s.pid(name))
		for file, want := range map[string]string{
			"status":    `(?m)^Uid:\t65532\t65532\t65532\t65532\n(?s:.*)^CapEff:\t0+\n(?s:.*)^NoNewPrivs:\t1$`,
			"mountinfo": `(?m)^\S+ \S+ \S+ \S+ / ro,`,
		} {
			text, err := os.ReadFile(proc + file)
			if err != nil || !regexp.MustCompile(want).Match(text) {
				t.Errorf("%s: %s is not like %s (%v):\n%s", name, file, want, err, text)
			}
		}
	}
}

// oneWriter: a second slotsync with the same socket is refused, although its network is
// another one; and what anybody on the machine can write to is refused as a volume.
func (s *sidecar) oneWriter(t *testing.T) {
	run := func(volume string, more ...string) (string, error) {
		args := append([]string{"run", "--rm", "--network", "none", "--read-only", "-v", volume + ":/run/haproxy", s.do("images", "-q", "--filter", "reference=localhost/slotsync")}, more...)
		return s.try(args...)
	}
	once := []string{"run", "--once", "--socket", "/run/haproxy/admin.sock", "--backend", "web", "--dns", "web.example.org:80"}
	out, err := run("run", once...)
	if err == nil || !strings.Contains(out, "another slotsync (pid ") || !strings.Contains(out, "writes to /run/haproxy/admin.sock") {
		t.Errorf("a second writer: %v, %s", err, out)
	}
	for name, want := range map[string]string{
		"anybodys":                            "not safe to use: /run/haproxy can be written to by everybody",
		"volumes/kubernetes.io~empty-dir/run": "no socket at /run/haproxy/admin.sock",
	} {
		dir := filepath.Join(s.dir, name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		out, err := run(dir, append(once, "--state-file", "/run/haproxy/servers/{backend}")...)
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v, %s", name, err, out)
		}
	}
}

// nothingLeft: the end of the pod is the end of all that was in it.
func (s *sidecar) nothingLeft(t *testing.T) {
	s.do("kube", "down", s.file)
	if got := s.do("ps", "-aq") + s.do("pod", "ps", "-q") + s.do("volume", "ls", "-q", "--filter", "name=^(run|state)$"); got != "" {
		t.Errorf("left: %s", got)
	}
}

// TestImage: the same program gives the same archive, which has what the Containerfile
// says, and starts as a user without rights.
func TestImage(t *testing.T) {
	if !inPrivate(t, "SLOTSYNC_CONTAINER") {
		return
	}
	again := filepath.Join(t.TempDir(), "again.oci.tar")
	if out, err := exec.Command("make", "-s", "-C", "../..", "image", "IMAGE="+again).CombinedOutput(); err != nil {
		t.Fatalf("make image: %v\n%s", err, out)
	}
	first, err := os.ReadFile(imageArchive)
	second, errAgain := os.ReadFile(again)
	if err != nil || errAgain != nil || !slices.Equal(first, second) {
		t.Errorf("two archives of one program differ (%v, %v)", err, errAgain)
	}
	p := newPodman(t)
	p.do("load", "-q", "-i", again)
	p.do("build", "-q", "-f", "../../tools/image/Containerfile", "-t", "built", "../..")
	loaded := p.do("images", "-q", "--filter", "reference=localhost/slotsync")
	describe := func(image string) string {
		archive := filepath.Join(p.dir, "tree.tar")
		p.do("export", "-o", archive, p.do("create", image))
		tree, err := exec.Command("tar", "tf", archive, "--exclude=dev", "--exclude=etc", "--exclude=proc", "--exclude=run", "--exclude=sys").CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, tree)
		}
		return p.do("inspect", "-f", "{{.Config.User}} {{.Config.Entrypoint}} {{.Config.Cmd}} {{.Config.Env}}", image) + "\n" + string(tree)
	}
	one, other := describe(loaded), describe("built")
	if one != other || !strings.HasPrefix(one, "65532:65532 [/usr/local/bin/slotsync] [run] ") {
		t.Errorf("make image:\n%s\npodman build:\n%s", one, other)
	}
	out, err := p.try("run", "--rm", "--network", "none", "--read-only", loaded, "--version")
	if err != nil || !strings.HasPrefix(out, "slotsync ") {
		t.Errorf("%v, %s", err, out)
	}
}
