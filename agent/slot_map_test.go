package agent

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/slotsync/slotsync/discovery"
)

func TestNameInMap(t *testing.T) {
	at := netip.MustParseAddrPort("[fd00::1]:80")
	for name, want := range map[string]string{
		"web-1.node:8080": "web-1.node:8080", "": "[fd00::1]:80",
		"a b;del map #0\n\"\\<é": "a_b_del_map__0_____", "[]": "__", "a[1]": "a_1_", strings.Repeat("x", 300): strings.Repeat("x", 100),
	} {
		if got := nameInMap(discovery.Endpoint{Addr: at, Name: name}); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
}

// TestSlotMapReadsItsOwnLines: one line that HAProxy would refuse keeps all others from it.
func TestSlotMapReadsItsOwnLines(t *testing.T) {
	path := filepath.Join(stateDir(t), "slots.map")
	text := "web/web1 one\nweb/web2 [fd00::1]:80\nweb/web3 10.0.0.1:80\nweb web\n/web4 x\nweb/ x\nweb/a;b x\nweb/a/b x\nweb/web5 []\n" +
		"web/web6 [fe80::1%eth0]:80\nweb/web7 " + strings.Repeat("x", maxMapName+1) + "\nweb/web8 a b\nweb/web9\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"web/web1": "one", "web/web2": "[fd00::1]:80", "web/web3": "10.0.0.1:80"}
	if got := newSlotMap(Options{SlotMap: path, Log: slog.New(slog.DiscardHandler)}).entries; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// fakeMap is what one HAProxy has loaded.
type fakeMap struct {
	mu   sync.Mutex
	last map[string]string
}

func (f *fakeMap) SyncMap(_ context.Context, _ string, want map[string]string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = want
	return nil
}

// TestSlotMapKeepsNames: file and HAProxy have the name of an instance from when it is in, and after it left, also over a restart;
// until somebody else has the slot.
func TestSlotMapKeepsNames(t *testing.T) {
	inWorld(t, func(w *world) {
		there := &fakeMap{}
		dir := stateDir(t)
		w.opts.SlotMap, w.opts.Instances[0].Maps = filepath.Join(dir, "slots.map"), there
		want := func(entries map[string]string) {
			t.Helper()
			w.settle()
			text, err := os.ReadFile(w.opts.SlotMap)
			if err != nil {
				t.Fatal(err)
			}
			var lines strings.Builder
			for _, key := range []string{"web/web1", "web/web2"} {
				if name, ok := entries[key]; ok {
					lines.WriteString(key + " " + name + "\n")
				}
			}
			there.mu.Lock()
			defer there.mu.Unlock()
			if string(text) != lines.String() || !maps.Equal(there.last, entries) {
				t.Errorf("the file has %q and HAProxy %v, want %v", text, there.last, entries)
			}
		}
		one, two, three := eps(80)[0], eps(81)[0], eps(82)[0]
		one.Name, two.Name, three.Name = "one", "two", "three"
		w.source.reading = discovery.Complete(one, two)
		w.start()
		want(map[string]string{"web/web1": "one", "web/web2": "two"})
		w.source.say(discovery.Complete(one), nil)
		want(map[string]string{"web/web1": "one", "web/web2": "two"})
		w.stop()
		w.start()
		want(map[string]string{"web/web1": "one", "web/web2": "two"})
		w.source.say(discovery.Complete(one, three), nil)
		want(map[string]string{"web/web1": "one", "web/web2": "three"})
	}, newFake("a", "web", 2))
}
