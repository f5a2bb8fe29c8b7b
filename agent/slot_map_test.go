package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

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
	if got := newSlotMap(Options{SlotMap: path}, func(...happening) {}).entries; !maps.Equal(got, want) {
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

// hungMap is a HAProxy that does not answer.
type hungMap struct {
	asked, atOnce atomic.Int32
	took          chan time.Duration
}

func (h *hungMap) SyncMap(ctx context.Context, _ string, _ map[string]string) error {
	h.asked.Add(1)
	if h.atOnce.Add(1) > 1 {
		return errors.New("it is asked twice at once")
	}
	defer h.atOnce.Add(-1)
	begun := time.Now()
	<-ctx.Done()
	h.took <- time.Since(begun)
	return ctx.Err()
}

// TestSlotMapOfAHungHAProxy: it is given 10 s, is not asked again meanwhile, and keeps no other HAProxy from its names.
func TestSlotMapOfAHungHAProxy(t *testing.T) {
	inWorld(t, func(w *world) {
		there, hung := &fakeMap{}, &hungMap{took: make(chan time.Duration, 100)}
		w.opts.SlotMap = filepath.Join(stateDir(w.t), "slots.map")
		w.opts.Instances[0].Maps, w.opts.Instances[1].Maps = hung, there
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.settle()
		w.source.say(discovery.Complete(eps(80, 81)...), nil)
		w.settle()
		there.mu.Lock()
		if want := map[string]string{"web/web1": "127.0.0.9:80", "web/web2": "127.0.0.9:81"}; !maps.Equal(there.last, want) {
			w.t.Errorf("the other HAProxy has %v, want %v", there.last, want)
		}
		there.mu.Unlock()
		if n := hung.asked.Load(); n != 1 {
			w.t.Errorf("asked %d times at once", n)
		}
		if took := <-hung.took; took != mapTime {
			w.t.Errorf("it was waited for for %s", took)
		}
		w.settle()
		if n := hung.asked.Load(); n != 2 {
			w.t.Errorf("asked %d times in all, want once more for what came meanwhile", n)
		}
	}, newFake("a", "web", 2), newFake("b", "web", 2))
}

// TestSlotMapIsMadeOnceForWhatChanged: a turn of the loop that changed nothing makes no map.
func TestSlotMapIsMadeOnceForWhatChanged(t *testing.T) {
	inWorld(t, func(w *world) {
		w.opts.SlotMap, w.opts.Instances[0].Maps = filepath.Join(stateDir(w.t), "slots.map"), &fakeMap{}
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		w.settle()
		inLoop := func(f func(m *slotMap)) {
			w.t.Helper()
			if err := w.agent.ask(w.t.Context(), func(context.Context) { f(w.agent.slotMap) }); err != nil {
				w.t.Fatal(err)
			}
		}
		inLoop(func(m *slotMap) { delete(m.entries, "web/web1") }) // another map would have it again
		inLoop(func(m *slotMap) {
			if len(m.entries) > 0 {
				w.t.Errorf("a request made it anew: %v", m.entries)
			}
		})
		w.source.say(discovery.Complete(eps(80, 81)...), nil)
		w.settle()
		inLoop(func(m *slotMap) {
			if len(m.entries) != 2 {
				w.t.Errorf("a change did not: %v", m.entries)
			}
		})
	}, newFake("a", "web", 2))
}

// TestSlotMapThatIsNotWrittenIsCounted each time, and from 0 on.
func TestSlotMapThatIsNotWrittenIsCounted(t *testing.T) {
	inWorld(t, func(w *world) {
		dir := filepath.Join(stateDir(t), "map")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		w.opts.SlotMap = filepath.Join(dir, "slots.map")
		w.source.reading = discovery.Complete(eps(80)...)
		w.start()
		counted := func(n int) {
			t.Helper()
			w.settle()
			want := fmt.Sprintf("# HELP slotsync_slot_map_write_errors_total Times that the file of slot_map could not be written.\n"+
				"# TYPE slotsync_slot_map_write_errors_total counter\nslotsync_slot_map_write_errors_total %d\n", n)
			if err := testutil.GatherAndCompare(w.registry, strings.NewReader(want), "slotsync_slot_map_write_errors_total"); err != nil {
				t.Error(err)
			}
		}
		counted(0)
		if err := os.Chmod(dir, 0o777); err != nil { // others could write to it
			t.Fatal(err)
		}
		w.source.list(80, 81)
		counted(1)
		w.pass(DefaultResync + time.Second)
		counted(2)
	}, newFake("a", "web", 2))
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
