package simulation

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A plan is all that a seed fixes: what there is at the start, and what happens to it. Steps
// mean something whatever happened before them, so that a plan can be cut anywhere.
type plan struct {
	seed    uint64
	live    bool // faults end, and everything has to be well in the end
	setting setting
	steps   []step
}

// A step is one thing that happens, and the time that passes after it.
type step struct {
	verb    string
	a, b, c int // what it happens to, modulo what there is
	pause   time.Duration
}

func (s step) String() string { return fmt.Sprintf("%s %d %d %d, %s", s.verb, s.a, s.b, s.c, s.pause) }

func (p plan) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%+v", p.setting)
	for _, s := range p.steps {
		fmt.Fprintf(&out, "\n  %s", s)
	}
	return out.String()
}

// A setting is what there is at the start.
type setting struct {
	Versions   []string // one HAProxy each
	Slots      int
	Static     bool // there are servers that are nobody's
	StateFiles bool
	Agents     bool // HAProxy has agent-checks
	Reloads    bool // the agent renders its file and reloads it
	Backends   []backendSetting
	Poll       time.Duration
	Timeout    time.Duration
}

type backendSetting struct {
	Feeds           []feedSetting
	Prefix          bool // it is configured
	Failover        bool
	Hold, EmptyHold time.Duration // negative: for ever
	Turnover        time.Duration
	MaxRemoval      float64
	Window          time.Duration
	Leave           bool // they drain first
	Shutdown        bool
	Dynamic         bool
	Repair          bool
	Keep            bool // what served last, while all are unhealthy
}

type feedSetting struct {
	Parts  int
	Parent bool // the first part says which others there are
	Shared bool // its endpoints are those of the first feed
	Full   int  // endpoints of each part at the start
	Rights bool // it has one part, of which a token may not read all
}

// verbs are what can happen, with how often it does; docs/proof.md says how that is derived. A verb of the safety mode alone ends
// what the other one needs in the end.
var verbs = []struct {
	name   string
	weight int
}{
	{"join", 8}, {"leave", 8}, {"replace", 3}, {"lose most", 4}, {"lose all", 3}, {"come back", 6}, {"down", 3}, {"maintenance", 2}, {"reweigh", 2},
	{"unknown part", 5}, {"partial part", 3}, {"lie empty", 3}, {"lie short", 3}, {"confirm otherwise", 2}, {"silent", 3}, {"fail", 4}, {"drop part", 2}, {"heal source", 9},
	{"narrow", 4}, {"widen", 1}, {"new token", 1}, {"accept old", 2},
	{"restart", 3}, {"restart empty", 2}, {"refilled", 1}, {"reload grown", 1}, {"reload shrunk", 1}, {"rename", 1}, {"renumber", 1}, {"no backend", 1}, {"backend back", 3},
	{"hang", 3}, {"away", 3}, {"cut", 2}, {"lose addresses", 1}, {"late addresses", 1}, {"heal instance", 10}, {"another machine", 1},
	{"hand state", 3}, {"hand address", 1}, {"hand weight", 1}, {"take out", 2}, {"give back", 2}, {"agent weight", 2}, {"agent state", 2}, {"sessions", 3}, {"sessions end", 3}, {"operator level", 1},
	{"drain", 3}, {"stop", 2}, {"start", 4}, {"weight", 1}, {"stop address", 1}, {"start address", 2}, {"add server", 2}, {"remove server", 2},
	{"pause", 1}, {"resume", 3}, {"accept", 3},
	{"other rules", 1}, {"other leave", 1}, {"deny", 1}, {"prefix", 1}, {"without feed", 1}, {"all feeds", 2}, {"without backend", 1}, {"all backends", 2}, {"without instance", 1}, {"all instances", 2}, {"other name", 1}, {"other socket", 1}, {"other dynamic", 1}, {"other repair", 1}, {"new question", 1}, {"other key", 8}, {"other state file", 1}, {"other template", 1}, {"other reload", 1},
	{"kill", 3}, {"kill soon", 5}, {"found running", 3}, {"stop agent", 1}, {"hand while down", 3}, {"other timeout", 1}, {"long down", 1}, {"clock jumps", 1}, {"disk fails", 2}, {"disk slow", 2}, {"disk works", 4},
	{"reload fails", 3}, {"reload works", 2}, {"by hand", 1}, {"reload", 1},
}

// scenes are verbs that happen to the same thing one after the other: what is rare to meet
// by chance, and hid a fault once.
var scenes = [][]string{
	{"lose most", "confirm otherwise"},                  // its own confirmations contradict a loss
	{"confirm otherwise", "lose most"},                  // and then it is true
	{"lose most", "lose all"},                           // a hold becomes one of another kind
	{"unknown part", "kill"},                            // what is kept is kept over a restart
	{"unknown part", "leave", "found running"},          // and is nobody else's where HAProxy is another
	{"partial part", "leave"},                           // what is not in a partial answer has not left
	{"maintenance", "lose most"},                        // what is left takes no traffic
	{"drain", "kill soon"}, {"add server", "kill soon"}, // what is acknowledged is durable
	{"found running", "hand state"}, {"found running", "accept"}, // somebody else's addresses
	{"take out", "give back", "kill"}, {"take out", "kill"}, // and one that was given back
	{"hand address", "kill"},                                                                                                              // a slot that was taken while nobody looked
	{"hang", "other timeout", "heal instance"},                                                                                            // what was sent before a change is not forgotten
	{"take out", "without instance", "other socket", "all instances"}, {"take out", "without instance", "other timeout", "all instances"}, // nor what was known of who left
	{"take out", "other name"}, {"hand state", "other socket"}, {"without instance", "other name", "all instances"},
	{"hand state", "hand state", "hand state"},         // a fight
	{"agent state", "leave"}, {"leave", "agent state"}, // an agent-check brings nobody back
	{"narrow", "narrow", "accept old"}, {"narrow", "accept", "narrow"}, {"narrow", "new question"}, {"new token", "narrow"}, {"narrow", "kill"}, // what a token may not read is not gone
	{"join", "join", "reload fails", "come back"}, {"reload fails", "join", "kill"}, {"join", "reload fails", "reload works"}, // a reload that is cut short
	{"disk slow", "join", "leave"}, {"disk slow", "drain", "kill soon"}, // nothing but the disk waits for the disk
	{"reload shrunk", "join", "join"}, // an endpoint whose slot is gone
	{"unknown part", "join", "join"},  // who is kept gives way
}

// planOf returns the plan of a seed.
func planOf(seed uint64, live bool) plan {
	stream := uint64(15)
	if live {
		stream++
	}
	r := rand.New(rand.NewPCG(seed, stream))
	p := plan{seed: seed, live: live, setting: settingOf(r)}
	total := 0
	for _, v := range verbs {
		total += v.weight
	}
	for range 8 + r.IntN(22) {
		if r.IntN(12) == 0 {
			p.steps = append(p.steps, sceneOf(r)...)
			continue
		}
		n := r.IntN(total)
		for _, v := range verbs {
			if n -= v.weight; n < 0 {
				p.steps = append(p.steps, step{v.name, r.IntN(1 << 16), r.IntN(1 << 16), r.IntN(1 << 16), pauseOf(r)})
				break
			}
		}
	}
	return p
}

// sceneOf is a scene, after which there is often time for all that follows.
func sceneOf(r *rand.Rand) []step {
	var out []step
	a, b, c := r.IntN(1<<16), r.IntN(1<<16), r.IntN(1<<16)
	for _, verb := range scenes[r.IntN(len(scenes))] {
		out = append(out, step{verb, a, b, c, time.Duration(r.IntN(4000)) * time.Millisecond})
	}
	if last := &out[len(out)-1]; r.IntN(2) == 0 {
		last.pause += 70 * time.Second
	}
	return out
}

// pauseOf is often next to nothing, so that things meet, and now and then long enough for
// everything to end.
func pauseOf(r *rand.Rand) time.Duration {
	switch n := r.IntN(20); {
	case n < 5:
		return time.Duration(r.IntN(50)) * time.Millisecond
	case n < 13:
		return time.Duration(r.IntN(5000)) * time.Millisecond
	case n < 19:
		return time.Duration(r.IntN(30)) * time.Second
	}
	return time.Duration(60+r.IntN(90)) * time.Second
}

func settingOf(r *rand.Rand) setting {
	one := func(n int) bool { return r.IntN(n) == 0 }
	s := setting{Slots: 8 + r.IntN(8), Static: one(3), StateFiles: !one(3), Agents: one(4), Poll: 2 * time.Second, Timeout: 2 * time.Second}
	if s.Reloads = one(4); s.Reloads { // there are too few for what may come
		s.Slots = 2 + r.IntN(4)
	}
	for range 1 + r.IntN(3) {
		s.Versions = append(s.Versions, []string{"2.6", "3.0", "3.2", "3.4"}[r.IntN(4)])
	}
	for range 1 + r.IntN(2) {
		b := backendSetting{
			Prefix: one(2), Failover: one(4), Leave: one(3), Dynamic: one(4), Repair: one(3), Keep: one(3),
			Hold: pick(r, 0, 8*time.Second, 20*time.Second, 20*time.Second, -1), EmptyHold: pick(r, 0, 20*time.Second, 45*time.Second, 45*time.Second, -1),
			Turnover: pick(r, 0, 5*time.Second, 10*time.Second), MaxRemoval: []float64{.3, .5, .5, .8}[r.IntN(4)],
			Window: pick(r, 30*time.Second, 90*time.Second),
		}
		b.Shutdown = b.Leave && one(3)
		for range 1 + r.IntN(2) {
			f := feedSetting{Parts: 1 + r.IntN(3), Parent: one(3), Shared: one(3), Full: 1 + r.IntN(3)}
			if f.Rights = one(3); f.Rights {
				f.Parts, f.Parent, f.Full = 1, false, 2+r.IntN(3)
			}
			b.Feeds = append(b.Feeds, f)
		}
		b.Failover = b.Failover && len(b.Feeds) > 1
		s.Backends = append(s.Backends, b)
	}
	return s
}

func pick(r *rand.Rand, of ...time.Duration) time.Duration { return of[r.IntN(len(of))] }
