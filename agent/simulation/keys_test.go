package simulation

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/simulation/oracle"
	"github.com/slotsync/slotsync/discovery"
)

// A key is one of the configuration that can be changed at run time. Its path is that of the
// field of [agent.Options].
type key struct {
	path string
	// set puts variant n, from 1 on, in force, and tells the oracle. One of them is set:
	// on all, or on a backend.
	all     func(w *world, o *agent.Options, n int)
	backend func(w *world, i int, b *agent.Backend, told *oracle.Backend, n int)
}

// variants is how many values a key has besides the one it begins with.
const variants = 3

// keys are those that no other verb changes.
var keys = []key{
	{path: "Timeout", all: func(_ *world, o *agent.Options, n int) { o.Timeout = time.Duration(n) * time.Second }},
	{path: "Poll", all: func(_ *world, o *agent.Options, n int) { o.Poll = time.Duration(n) * time.Second }},
	{path: "Resync", all: func(_ *world, o *agent.Options, n int) { o.Resync = time.Duration(4+2*n) * time.Second }},
	{path: "DrainRemoved", all: func(_ *world, o *agent.Options, n int) { o.DrainRemoved = n%2 == 1 }},
	{path: "Reloads.MinInterval", all: onReload(func(r *agent.Reload, n int) { r.MinInterval = time.Duration(n) * 10 * time.Second })},
	{path: "Reloads.MaxPerHour", all: onReload(func(r *agent.Reload, n int) { r.MaxPerHour = n })},
	{path: "Reloads.Jitter", all: onReload(func(r *agent.Reload, n int) { r.Jitter = time.Duration(n-1) * time.Second })},
	{path: "Reloads.Instances", all: onReload(func(r *agent.Reload, n int) { r.Instances = r.Instances[:min(n, len(r.Instances))] })},
	{path: "Backends.Instances", backend: func(w *world, _ int, b *agent.Backend, told *oracle.Backend, n int) {
		if p := w.proxies[n%len(w.proxies)]; len(w.conf.instances) == 0 {
			b.Instances, told.Instances = []string{w.called(p)}, []string{p.name}
		}
	}},
	{path: "Backends.Failover.Primary", backend: func(_ *world, _ int, b *agent.Backend, told *oracle.Backend, n int) {
		b.Failover.Primary = b.Feeds[n%len(b.Feeds)].Name
		told.Primary = b.Failover.Primary
	}},
	{path: "Backends.Failover.Min", backend: onBackend(func(b *agent.Backend, n int) { b.Failover.Min = n })},
	{path: "Backends.Failover.After", backend: onBackend(func(b *agent.Backend, n int) { b.Failover.After = time.Duration(3*n) * time.Second })},
	{path: "Backends.Failover.Back", backend: onBackend(func(b *agent.Backend, n int) { b.Failover.Back = time.Duration(7*n) * time.Second })},
	{path: "Backends.OnAllUnhealthy", backend: func(_ *world, _ int, b *agent.Backend, told *oracle.Backend, n int) {
		b.OnAllUnhealthy = []string{"", agent.KeepUnhealthy, agent.DropUnhealthy}[n-1]
		told.Keep = b.OnAllUnhealthy != agent.DropUnhealthy
	}},
	{path: "Backends.Policy.Allow", backend: func(_ *world, i int, b *agent.Backend, told *oracle.Backend, n int) {
		b.Policy.Allow = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{127, byte(i + 1), 1, byte(n)}), []int{8, 16, 24}[n-1]).Masked()}
		told.Allow = b.Policy.Allow
	}},
	{path: "Backends.Policy.Family", backend: func(_ *world, _ int, b *agent.Backend, told *oracle.Backend, n int) {
		b.Policy.Family = []string{discovery.OnlyV4, discovery.PreferV4, discovery.OnlyV6}[n-1]
		if n == 3 { // every address that there is
			told.Deny = append(slices.Clone(told.Deny), netip.MustParsePrefix("0.0.0.0/0"))
		}
	}},
	{path: "Backends.Guard.MaxRemoval", backend: func(_ *world, _ int, b *agent.Backend, told *oracle.Backend, n int) {
		b.Guard.MaxRemoval = []float64{.2, .6, 1}[n-1]
		told.MaxRemoval = b.Guard.MaxRemoval
	}},
	{path: "Backends.Guard.Window", backend: func(_ *world, _ int, b *agent.Backend, told *oracle.Backend, n int) {
		b.Guard.Window = []time.Duration{20, 60, 120}[n-1] * time.Second
		told.Window = b.Guard.Window
	}},
	{path: "Backends.Guard.MinEndpoints", backend: onBackend(func(b *agent.Backend, n int) { b.Guard.MinEndpoints = n })},
	{path: "Backends.Guard.TurnoverWait", backend: onBackend(func(b *agent.Backend, n int) { b.Guard.TurnoverWait = time.Duration(3*n) * time.Second })},
	{path: "Backends.Drain", backend: onBackend(func(b *agent.Backend, n int) { b.Drain = time.Duration(5*n) * time.Second })},
	{path: "Backends.Shutdown", backend: onBackend(func(b *agent.Backend, n int) { b.Shutdown = n%2 == 1 })},
	{path: "Backends.DynamicOptions", backend: func(_ *world, _ int, b *agent.Backend, told *oracle.Backend, n int) {
		b.DynamicOptions = []string{"weight 50", "check inter 1s", "maxconn 10"}[n-1]
		if n == 1 { // refused, as weights come from elsewhere: there is room for what has a slot
			told.Dynamic = false
		}
	}},
	{path: "Backends.MaxSlots", backend: func(_ *world, _ int, b *agent.Backend, told *oracle.Backend, n int) {
		b.MaxSlots, told.Dynamic = 6*n, false // there may be room for all, or not
	}},
}

// byVerb are the fields that verbs of their own change, and those that none does, with why.
var byVerb = map[string]string{
	"Instances.Name": "other name", "Backends.Name": "without backend", "Backends.Prefix": "prefix", "Backends.Feeds.Name": "without feed",
	"Backends.Feeds.Key": "new question", "Backends.Feeds.Source": "new question", "Backends.Guard.EmptyHold": "other rules", "Backends.Guard.RemovalHold": "other rules",
	"Backends.Leave": "other leave", "Backends.Policy.Deny": "deny", "Backends.Dynamic": "other dynamic", "Backends.RepairExternal": "other repair",
	"Instances.StateFile": "other state file", "Instances.Key": "other timeout", "Instances.Conn": "other socket", "Instances.Socket": "other socket", "Reloads.Key": "other template", "Reloads.Transaction": "other template",
	"Reloads.Name": "other reload",
}

var notChanged = map[string]string{
	"Instances.Query": "it reads for people alone", "Instances.Maps": "the slot map is a file beside, which decides nothing", "SlotMap": "the slot map is a file beside, which decides nothing",
	"StateDir": "it takes a restart", "Disk": "tests set it; see disk slow", "Folders": "it takes a restart", "Log": "it says what is done, and decides nothing", "Metrics": "they are those of New",
	"Backends.Proxy":          "another backend of HAProxy is another backend; see without backend",
	"Backends.Feeds.Identity": "another service is another source; the oracle knows sources by their names; see without feed",
	"Reloads.OldWorkers":      "it is shown, and decides nothing", "Reloads.File": "it is shown, and decides nothing",
}

func onBackend(set func(b *agent.Backend, n int)) func(*world, int, *agent.Backend, *oracle.Backend, int) {
	return func(_ *world, _ int, b *agent.Backend, _ *oracle.Backend, n int) { set(b, n) }
}

func onReload(set func(r *agent.Reload, n int)) func(*world, *agent.Options, int) {
	return func(_ *world, o *agent.Options, n int) {
		for i := range o.Reloads {
			set(&o.Reloads[i], n)
		}
	}
}

// A place is where a key was changed: at a backend, or at all.
type place struct {
	path    string
	backend int
}

// otherKey changes one key, or puts it back.
func (w *world) otherKey(s step) {
	k := keys[s.b%len(keys)]
	at := place{path: k.path}
	if k.backend != nil {
		at.backend = s.a % len(w.conf.backends)
	}
	w.conf.keys = maps.Clone(w.conf.keys)
	if n := s.c % (variants + 1); n > 0 {
		w.conf.keys[at] = n
	} else {
		delete(w.conf.keys, at)
	}
	w.seen.states["key "+k.path]++
}

// setAll and setBackend put the keys in force that were changed.
func (w *world) setAll(o *agent.Options) {
	for _, k := range keys {
		if n := w.conf.keys[place{path: k.path}]; n > 0 && k.all != nil {
			k.all(w, o, n)
		}
	}
}

func (w *world) setBackend(i int, b *agent.Backend, told *oracle.Backend) {
	for _, k := range keys {
		if n := w.conf.keys[place{k.path, i}]; n > 0 && k.backend != nil {
			k.backend(w, i, b, told, n)
		}
	}
}

// TestEveryKeyIsChanged: whatever an agent can be configured with is changed while it runs, or
// it is said why not.
func TestEveryKeyIsChanged(t *testing.T) {
	known := map[string]bool{}
	for _, k := range keys {
		known[k.path] = true
	}
	verb := map[string]bool{}
	for _, v := range verbs {
		verb[v.name] = true
	}
	for path, v := range byVerb {
		if known[path] = true; !verb[v] {
			t.Errorf("%s: there is no verb %q", path, v)
		}
	}
	for path := range notChanged {
		known[path] = true
	}
	for _, path := range fieldsOf(reflect.TypeFor[agent.Options](), "") {
		if !known[path] {
			t.Errorf("nothing changes %s: put it into keys, with what the oracle has to know", path)
		}
		delete(known, path)
	}
	for path := range known {
		t.Errorf("there is no %s any more", path)
	}
}

// fieldsOf are the paths of all fields of a struct, and of those within them that are of this
// program.
func fieldsOf(of reflect.Type, before string) (out []string) {
	for i := range of.NumField() {
		f := of.Field(i)
		of, path := f.Type, before+f.Name
		if of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		switch of {
		case reflect.TypeFor[agent.Instance](), reflect.TypeFor[agent.Backend](), reflect.TypeFor[agent.Feed](), reflect.TypeFor[agent.Reload](),
			reflect.TypeFor[discovery.Policy](), fieldType(reflect.TypeFor[agent.Backend](), "Guard"), fieldType(reflect.TypeFor[agent.Backend](), "Failover"):
			out = append(out, fieldsOf(of, path+".")...)
		default:
			out = append(out, path)
		}
	}
	return out
}

func fieldType(of reflect.Type, name string) reflect.Type {
	f, _ := of.FieldByName(name)
	return f.Type
}
