package dns

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// A step is something that happens to the servers, or to the source.
type step struct {
	what   string // fail, mend, put, remove, name, unname, glue, restart
	server int    // -1: all
	about  string // of trouble: "TYPE name", "name", "TYPE" or ""
	how    string // the trouble
	record string // "TYPE name"
	data   string
}

// A drama is a source, its servers, and what happens.
type drama struct {
	srv     bool
	servers []string
	steps   []step
}

var propertyTargets = []string{"t1.test", "t2.test", "t3.test"}

func drawDrama(t *rapid.T) drama {
	d := drama{srv: rapid.Bool().Draw(t, "srv"), servers: []string{one, two, three}[:rapid.IntRange(1, 3).Draw(t, "servers")]}
	names := []string{"x.test"}
	about := []string{"", "x.test", "A", "AAAA", "A x.test", "AAAA x.test", "tcp", "udp"}
	what := []string{"fail", "fail", "fail", "mend", "mend", "put", "put", "remove", "restart"}
	if d.srv {
		names = propertyTargets
		about = []string{"", "_web._tcp.test", "A", "AAAA", "t1.test", "t2.test", "t3.test", "A t1.test", "AAAA t2.test", "tcp", "udp"}
		what = append(what, "name", "unname", "glue")
	}
	d.steps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		s := step{what: rapid.SampledFrom(what).Draw(t, "what"), server: rapid.IntRange(-1, len(d.servers)-1).Draw(t, "server")}
		name := rapid.SampledFrom(names).Draw(t, "name")
		switch s.what {
		case "fail", "mend":
			s.about = rapid.SampledFrom(about).Draw(t, "about")
			s.how = rapid.SampledFrom(append(failures, "NXDOMAIN", "NODATA", "bare NODATA")).Draw(t, "how")
		case "name", "unname":
			s.record, s.data = "SRV _web._tcp.test", "1 1 80 "+name+"."
		case "put", "remove", "glue":
			n := rapid.IntRange(1, 3).Draw(t, "n")
			s.record, s.data = "A "+name, fmt.Sprintf("10.0.%s.%d", digits(name), n)
			if rapid.Bool().Draw(t, "v6") {
				s.record, s.data = "AAAA "+name, fmt.Sprintf("2001:db8::%s:%d", digits(name), n)
			}
		}
		return s
	}), 1, 25).Draw(t, "steps")
	return d
}

func digits(name string) string {
	if name[0] == 't' {
		return name[1:2]
	}
	return "0"
}

// healthy lists the names of parts of which every server says what it has.
func (d drama) healthy(w *world) []string {
	var out []string
	names := propertyTargets
	if !d.srv {
		names = []string{"x.test"}
	}
	fine := func(what string) bool {
		kind, name, _ := strings.Cut(what, " ")
		for _, s := range d.servers {
			o := w.servers[s]
			for _, about := range []string{what, name, kind, "udp", "tcp", ""} {
				if o.trouble[about] != "" {
					return false
				}
			}
		}
		return true
	}
	for _, name := range names {
		for _, kind := range []string{"A", "AAAA"} {
			switch {
			case !fine(kind + " " + name):
			case !d.srv:
				out = append(out, kind+" of "+name)
			case fine("SRV _web._tcp.test"):
				out = append(out, kind+" of "+name+":80")
			}
		}
	}
	return out
}

func (d drama) do(w *world, s step) {
	for i, server := range d.servers {
		if s.server >= 0 && s.server != i {
			continue
		}
		o := w.servers[server]
		have := slices.DeleteFunc(slices.Clone(o.records[s.record]), func(x string) bool { return x == s.data })
		switch s.what {
		case "fail":
			o.trouble[s.about] = s.how
		case "mend":
			if s.about == "" {
				clear(o.trouble)
			}
			delete(o.trouble, s.about)
		case "put", "name":
			o.records[s.record] = append(have, s.data)
		case "remove", "unname":
			if o.records[s.record] = have; len(have) == 0 {
				delete(o.records, s.record)
			}
		case "glue": // of one family comes along, or no more
			kind, name, _ := strings.Cut(s.record, " ")
			had := len(o.extra["SRV _web._tcp.test"]) > 0
			if o.extra["SRV _web._tcp.test"] = nil; !had {
				o.extra["SRV _web._tcp.test"] = []string{name + ". 5 IN " + kind + " any"}
			}
		}
		o.honest()
	}
}

// honest has all there is of a set come along if any of it does.
func (o *origin) honest() {
	const of = "SRV _web._tcp.test"
	extra := o.extra[of]
	o.extra[of] = nil
	for _, rr := range extra {
		f := strings.Fields(rr)
		for _, data := range o.records[f[3]+" "+strings.TrimSuffix(f[0], ".")] {
			o.extra[of] = append(o.extra[of], strings.Join(append(f[:4:4], data), " "))
		}
	}
	slices.Sort(o.extra[of])
	o.extra[of] = slices.Compact(o.extra[of])
}

func (d drama) source(t *testing.T, w *world) (*Source, Query) {
	q := Query{Record: "x.test", Port: 80}
	if d.srv {
		q = srv
	}
	s := newSource(t, Options{Servers: d.servers, Answers: Full}, q)
	s.client.exchange = w.exchange
	s.placed = true
	return s, q
}

// play returns what went wrong, or "".
func (d drama) play(t *testing.T) string {
	w := newWorld(d.servers...)
	j := newJudge(w)
	for _, step := range d.opening() {
		w.change(func() { d.do(w, step) })
	}
	s, q := d.source(t, w)
	kept := discoverytest.Keeper{}
	if wrong := d.read(t, w, j, s, kept, 0); wrong != "" {
		return "at first: " + wrong
	}
	for i, step := range d.steps {
		if step.what == "restart" {
			s = restarted(t, w, s, q)
			continue
		}
		w.change(func() { d.do(w, step) })
		if wrong := d.read(t, w, j, s, kept, 15*time.Second); wrong != "" {
			return fmt.Sprintf("step %d: %s", i, wrong)
		}
	}
	return d.end(t, w, j, s, kept)
}

// opening is what there is at first: everything, at the first server only, but the
// other ones know some.
func (d drama) opening() []step {
	if !d.srv {
		return []step{{what: "put", server: 0, record: "A x.test", data: "10.0.0.1"}, {what: "put", server: 0, record: "AAAA x.test", data: "2001:db8::0:1"}}
	}
	var out []step
	for i, name := range propertyTargets {
		out = append(out, step{what: "name", server: -1, record: "SRV _web._tcp.test", data: "1 1 80 " + name + "."},
			step{what: "put", server: i % len(d.servers), record: "A " + name, data: fmt.Sprintf("10.0.%d.1", i+1)})
	}
	return out
}

// read makes readings, for at least that long, and looks at each.
func (d drama) read(t *testing.T, w *world, j *judge, s *Source, kept discoverytest.Keeper, least time.Duration) string {
	start := time.Now()
	for time.Since(start) <= least {
		begin := time.Now()
		settled := begin.Sub(start) > lookupTime // what was asked before has ended
		r, err := s.Next(t.Context())
		took := time.Since(begin)
		wrong := ""
		w.change(func() { wrong = d.look(w, j, r, err, kept, took, settled) })
		if wrong != "" {
			return fmt.Sprintf("a reading at %v, after %v: %s: %v %v", time.Since(start), took, wrong, r.Parts, err)
		}
		if err == nil {
			kept.Take(r)
		} else {
			time.Sleep(time.Second)
		}
	}
	return ""
}

// look says what is wrong with a reading; settled: nothing has happened for a while.
func (d drama) look(w *world, j *judge, r discovery.Reading, err error, kept discoverytest.Keeper, took time.Duration, settled bool) string {
	healthy := d.healthy(w)
	if err != nil {
		if settled && len(healthy) > 0 && (!d.srv || len(w.servers[d.servers[0]].records["SRV _web._tcp.test"]) > 0) {
			return fmt.Sprintf("an error, though %v are well", healthy)
		}
		return ""
	}
	for _, p := range r.Parts {
		if strings.HasPrefix(p.Name, "SRV") {
			continue
		}
		if p.State == discovery.Whole {
			if wrong := j.blame(p, kept[p.Name].Endpoints); wrong != "" {
				return wrong
			}
		}
		if !settled || !slices.Contains(healthy, p.Name) {
			continue
		}
		if p.State == discovery.Unknown {
			return p.Name + " is unknown, though all servers answer for it"
		}
		if took > 5500*time.Millisecond+5*time.Second+grace {
			return fmt.Sprintf("%s had to wait %v", p.Name, took)
		}
		if lost := d.listedByAll(w, p); lost != "" {
			return fmt.Sprintf("%s lacks %s, which every server has", p.Name, lost)
		}
	}
	return ""
}

func (d drama) listedByAll(w *world, p discovery.Part) string {
	kind, rest, _ := strings.Cut(p.Name, " of ")
	what := kind + " " + strings.TrimSuffix(rest, ":80")
	for _, data := range w.servers[d.servers[0]].records[what] {
		all := !slices.ContainsFunc(d.servers, func(s string) bool { return !slices.Contains(w.servers[s].records[what], data) })
		there := slices.ContainsFunc(p.Endpoints, func(e discovery.Endpoint) bool {
			return e.Addr.Addr() == netip.MustParseAddr(data)
		})
		if all && !there {
			return data
		}
	}
	return ""
}

// end mends everything, has all servers say the same, and wants that after a while and
// nothing else.
func (d drama) end(t *testing.T, w *world, j *judge, s *Source, kept discoverytest.Keeper) string {
	first := w.servers[d.servers[0]]
	w.change(func() {
		for _, o := range w.servers {
			clear(o.trouble)
			clear(o.extra)
			if o != first {
				clear(o.records)
				maps.Copy(o.records, first.records)
			}
		}
	})
	if wrong := d.read(t, w, j, s, kept, settleTime+20*time.Second); wrong != "" {
		return "at the end: " + wrong
	}
	var want []string
	for what, data := range first.records {
		_, name, _ := strings.Cut(what, " ")
		if strings.HasPrefix(what, "SRV") || d.srv && !slices.Contains(first.records["SRV _web._tcp.test"], "1 1 80 "+name+".") {
			continue
		}
		for _, a := range data {
			want = append(want, at(a))
		}
	}
	got := texts(discovery.Complete(kept.Endpoints()...))
	slices.Sort(want)
	slices.Sort(got)
	left := slices.DeleteFunc(slices.Clone(got), func(a string) bool { return slices.Contains(want, a) })
	lost := slices.DeleteFunc(slices.Clone(want), func(a string) bool { return slices.Contains(got, a) })
	if len(left)+len(lost) > 0 {
		return fmt.Sprintf("at the end %v is still there, and %v is missing", left, lost)
	}
	return ""
}

// Any number of names, targets and servers that answer, err, fall silent, lie, come
// back, over restarts: nothing is gone that nobody denied who had it, and no part waits
// for another.
func TestD38D39D45Parts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := drawDrama(rt)
		wrong := ""
		synctest.Test(t, func(t *testing.T) { wrong = d.play(t) })
		if wrong != "" {
			rt.Fatalf("%s", wrong)
		}
	})
}
