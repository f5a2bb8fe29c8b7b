package file

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// These tests use the directories and the notices of the real system.

func TestRename(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", group(1))
	w := discoverytest.Watch(t, open(t, dir, "web"))
	w.Is(t, "1")
	begin := time.Now()
	replace(t, dir, "web.yaml", group(1, 2))
	w.Is(t, "1 2")
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("what was added was seen after %s", took)
	}
	begin = time.Now()
	replace(t, dir, "web.yaml", group(2))
	w.Is(t, "2")
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("what was taken away was seen after %s", took)
	}
}

// A volume of Kubernetes: the files are links through ..data, which is a link
// itself and is replaced.
func TestKubernetesVolume(t *testing.T) {
	dir := t.TempDir()
	fill := func(version string, hosts ...int) {
		t.Helper()
		do(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		write(t, filepath.Join(dir, version), "web.yaml", group(hosts...))
		do(t, os.Symlink(version, filepath.Join(dir, "..data_tmp")))
		do(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	fill("..1", 1)
	do(t, os.Symlink("..data/web.yaml", filepath.Join(dir, "web.yaml")))
	for name, path := range map[string]string{"through links": dir, "in ..data itself": filepath.Join(dir, "..data")} {
		t.Run(name, func(t *testing.T) {
			w := discoverytest.Watch(t, open(t, path, "web"))
			w.Is(t, "1")
			begin := time.Now()
			version := "..2" + name
			fill(version, 1, 2)
			do(t, os.RemoveAll(filepath.Join(dir, "..1")))
			w.Is(t, "1 2")
			fill("..1", 1)
			do(t, os.RemoveAll(filepath.Join(dir, version)))
			w.Is(t, "1")
			if took := time.Since(begin); took > 8*time.Second {
				t.Errorf("both were seen after %s", took)
			}
			w.End()
		})
	}
}

func TestDirectoryComesBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	w := discoverytest.Watch(t, open(t, dir, "web"))
	w.Is(t, "transport")
	do(t, os.MkdirAll(dir, 0o700))
	replace(t, dir, "web.yaml", group(1))
	w.Is(t, "1")
	do(t, os.Rename(dir, dir+".old"))
	w.Is(t, "transport")
	begin := time.Now()
	do(t, os.Mkdir(dir, 0o700))
	replace(t, dir, "web.yaml", group(1, 2))
	w.Is(t, "1 2")
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it was seen after %s", took)
	}
}

// What is fixed is seen at once, not when a pause is over.
func TestFixed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", "{")
	w := discoverytest.Watch(t, open(t, dir, "web"))
	for n := 0; n < 3; { // the pauses get longer
		updates, news := w.Seen()
		if n = len(updates); n < 3 {
			<-news
		}
	}
	begin := time.Now()
	replace(t, dir, "web.yaml", group(1))
	w.Is(t, "1")
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("it was seen after %s", took)
	}
}

func TestOtherKindsOfFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", group(1))
	do(t, syscall.Mkfifo(filepath.Join(dir, "pipe.yaml"), 0o600))
	do(t, os.Mkdir(filepath.Join(dir, "folder.yaml"), 0o700))
	do(t, os.Symlink("/dev/zero", filepath.Join(dir, "device.yaml")))
	do(t, os.Symlink("loop.yaml", filepath.Join(dir, "loop.yaml")))
	do(t, os.Symlink("nowhere", filepath.Join(dir, "dangling.yaml")))
	write(t, dir, "large.yaml", "")
	do(t, os.Truncate(filepath.Join(dir, "large.yaml"), maxFile+1))
	write(t, dir, "zeros.yaml", "")
	do(t, os.Truncate(filepath.Join(dir, "zeros.yaml"), 1<<20))
	w := discoverytest.Watch(t, open(t, dir, "web"))
	begin := time.Now()
	u := w.Is(t, "1 ?")
	gaps := strings.Join(u.Reading.Gaps(), "\n")
	for _, want := range []string{"pipe.yaml: protocol: it is not a regular file", "folder.yaml: protocol: it is not", "device.yaml: protocol: it is not",
		"large.yaml: protocol: it is larger than 32 MiB", "zeros.yaml: protocol: ", "loop.yaml: protocol: "} {
		if !strings.Contains(gaps, want) {
			t.Errorf("%q is not in %q", want, gaps)
		}
	}
	if strings.Contains(gaps, "dangling") || time.Since(begin) > 10*time.Second {
		t.Errorf("after %s: %q", time.Since(begin), gaps)
	}
	for _, service := range []string{"pipe", "device", "large"} {
		r, err := open(t, dir, service).Confirm(t.Context())
		if gaps := strings.Join(r.Gaps(), "\n"); err != nil || len(r.Endpoints()) > 0 || !strings.Contains(gaps, service+".yaml: protocol: it is ") {
			t.Errorf("%s: %v, gaps %q", service, err, gaps)
		}
	}
}

// A writer that writes in place and in pieces never makes an endpoint go that
// stays.
func TestF7WrittenInPieces(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", group(1, 2, 3, 4))
	w := discoverytest.Watch(t, open(t, dir, "web"))
	w.Is(t, "1 2 3 4")
	next := group(1, 2, 3, 4, 5)
	out, err := os.Create(filepath.Join(dir, "web.yaml"))
	do(t, err)
	defer out.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for len(next) > 0 {
		n := min(12, len(next))
		_, err := out.WriteString(next[:n])
		do(t, err)
		next = next[n:]
		<-tick.C
	}
	w.Is(t, "1 2 3 4 5")
	for _, h := range discoverytest.History(w.End()) {
		if !strings.HasPrefix(h, "1 2 3 4") {
			t.Errorf("it said %q", h)
		}
	}
}

// Hundreds of services of one path share what is read and told of.
func TestManyServices(t *testing.T) {
	dir := t.TempDir()
	const services = 200
	for i := range services {
		write(t, dir, fmt.Sprintf("s%d.yaml", i), group(i+1))
	}
	f := files(t, dir)
	var open, most atomic.Int32
	f.newWatcher = func(dir string) (*watcher, error) {
		b, err := newWatcher(dir)
		if err != nil {
			return nil, err
		}
		most.Store(max(most.Load(), open.Add(1)))
		closing := b.close
		b.close = func() { open.Add(-1); closing() }
		return b, nil
	}
	var watches []*discoverytest.Watched
	for i := range services {
		watches = append(watches, discoverytest.Watch(t, source(t, f, fmt.Sprintf("s%d", i))))
	}
	for i, w := range watches {
		w.Is(t, fmt.Sprint(i+1))
	}
	begin := time.Now()
	for i := range services {
		replace(t, dir, fmt.Sprintf("s%d.yaml", i), group(i+1, i+1001))
	}
	for i, w := range watches {
		w.Is(t, fmt.Sprintf("%d %d", i+1, i+1001))
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("all of them were seen after %s", took)
	}
	if most.Load() != 1 {
		t.Errorf("%d watchers at a time", most.Load())
	}
	for _, w := range watches {
		w.Cancel()
	}
}

// What the system does not let be read is read again each time.
func TestUnreadable(t *testing.T) {
	s, err := visit(t.TempDir(), strings.Repeat("x", 300)+".yaml", version{}, false)
	if err != nil || s.err == nil || !s.unsure {
		t.Errorf("%+v %v", s, err)
	}
}

// A write that leaves size and times as they were is seen all the same.
func TestQuickWrites(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", group(1))
	f := files(t, dir)
	m := memory{}
	for i := range 50 {
		write(t, dir, "web.yaml", group(i+1))
		seen, err := f.scan(m, false)
		do(t, err)
		m = m.updated(seen, true, time.Now())
		if got := m["web.yaml"].items; !slices.Equal(told(got), []string{fmt.Sprintf("web 10.0.0.%d:80", i+1)}) {
			t.Fatalf("write %d: %q", i, told(got))
		}
	}
}
