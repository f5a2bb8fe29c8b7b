package oracle

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An instance is one HAProxy as it is.
type instance struct {
	managed  bool
	backends map[string]map[string]Server // by the backend's and the server's name
	// fault is when something was wrong with it last that others did; well: nothing is.
	fault time.Time
	well  bool
	looks sight // of the agent
	// hand is when somebody else changed a server of this process last.
	hand map[[2]string]time.Time
	// theirs are the endpoints whose slot somebody else ever changed: that they took it
	// out of service outlives the process.
	theirs map[netip.AddrPort]bool
	// calls are when the agent changed a server last.
	calls map[[2]string]time.Time
	last  time.Time // when it did that to any
	born  time.Time // this process
	// parted is when it left the configuration last; known: the agent knew then what there was.
	parted time.Time
	known  bool
	// found are the addresses that were in service when the agent met this process first, and
	// that nobody ever listed.
	found map[[2]string]netip.AddrPort
	// filled are the servers that the agent gave the address they have in this process.
	filled map[[2]string]bool
	// slots is how many slots it had of a backend when the agent stopped to fill that there.
	slots map[string]int
	// taken are the servers that somebody else took out of service in this process.
	taken map[[2]string]taking
}

// A move is that an endpoint left a slot in which the process began with it: it may have to
// go to the one that it has elsewhere, and has to be back in a moment.
type move struct {
	at                time.Time
	instance, backend string
	addr              netip.AddrPort
	command           string
	born              time.Time // the process
}

// back judges whether what moved is in service again.
func (o *Oracle) back(at time.Time) {
	o.moved = slices.DeleteFunc(o.moved, func(m move) bool {
		if at.Sub(m.at) < Grace {
			return false
		}
		in, b := o.instances[m.instance], o.backendOf(m.backend)
		if b == nil || !in.born.Equal(m.born) || !in.calm(at, at.Sub(m.at)+Grace) || o.running.IsZero() || o.running.After(m.at) || o.changed.After(m.at) ||
			b.was[m.addr].After(m.at) || b.pausedAt.After(m.at) || o.resumed.After(m.at) || o.asked(at, m.backend, m.addr) || in.theirs[m.addr] || at.Sub(b.scarce) < Late || in.serves(m.backend, m.addr) {
			return true
		}
		o.wrong(at, "kept", "%s: %q took %s out of service, which is %s, and it is not back", m.instance, m.command, m.addr, b.why(m.addr))
		return true
	})
}

func newInstance(at time.Time) *instance {
	return &instance{backends: map[string]map[string]Server{}, hand: map[[2]string]time.Time{}, theirs: map[netip.AddrPort]bool{}, calls: map[[2]string]time.Time{}, filled: map[[2]string]bool{}, taken: map[[2]string]taking{}, slots: map[string]int{}, well: true, fault: at, born: at, looks: sight{since: at}}
}

// calm reports whether nothing was wrong with the instance for so long.
func (in *instance) calm(at time.Time, d time.Duration) bool {
	return in.managed && in.well && at.Sub(in.fault) > d
}

// Process tells that another process answers, with these servers by backend.
func (o *Oracle) Process(at time.Time, name string, backends map[string][]Server) {
	o.keep("Process", at, name, backends)
	in := o.instances[name]
	if in == nil {
		in = newInstance(at)
		o.instances[name] = in
	}
	in.backends, in.hand, in.calls = map[string]map[string]Server{}, map[[2]string]time.Time{}, map[[2]string]time.Time{}
	for backend, servers := range backends {
		rows := map[string]Server{}
		for _, s := range servers {
			rows[s.Name] = s
		}
		in.backends[backend] = rows
	}
	in.fault, in.born, in.found, in.filled, in.taken = at, at, nil, map[[2]string]bool{}, map[[2]string]taking{}
	in.anew(at)
}

// anew has whoever looks at the process begin now, if that can be done.
func (in *instance) anew(at time.Time) {
	if in.looks = (sight{}); in.well {
		in.looks.begin(at)
	}
}

// meet notes what an agent that starts now finds in a process that none has met.
func (in *instance) meet(o *Oracle) {
	if in.born.Before(o.stopped) {
		return // the one before it knew it
	}
	in.found = map[[2]string]netip.AddrPort{}
	for name, rows := range in.backends {
		if b := o.backendOf(name); b != nil {
			for _, s := range rows {
				if a := served(&s); a.IsValid() && b.owns(s.Name) && !b.listed[a] {
					in.found[[2]string{name, s.Name}] = a
				}
			}
		}
	}
}

// Sees tells how the servers of an instance are now: some changes show late.
func (o *Oracle) Sees(name string, backends map[string][]Server) {
	o.keep("Sees", name, backends)
	for backend, servers := range backends {
		rows := map[string]Server{}
		for _, s := range servers {
			rows[s.Name] = s
		}
		o.instances[name].backends[backend] = rows
	}
}

// Faulty tells that something is wrong with the way to an instance, or with its answers;
// Well that nothing is.
func (o *Oracle) Faulty(at time.Time, name string) {
	o.keep("Faulty", at, name)
	o.instances[name].well = false
	o.instances[name].looks.end(at)
}

// Well is the opposite of [Oracle.Faulty].
func (o *Oracle) Well(at time.Time, name string) {
	o.keep("Well", at, name)
	o.instances[name].well, o.instances[name].fault = true, at
	o.instances[name].looks.begin(at)
}

// A Command is one that an instance has executed.
type Command struct {
	Instance, Backend string
	Text              string
	Refused           bool
	Before, After     *Server // nil: there is none
	// Other: somebody else has sent it.
	Other bool
}

// moves reports whether c changes where the server's traffic goes, now or, as addresses do,
// in a moment, or whether it gets any.
func (c Command) moves() bool {
	return strings.Contains(c.Text, " addr ") || c.Before == nil || c.After == nil || c.Before.State != c.After.State || c.Before.Addr != c.After.Addr
}

// commands are those that the agent may send, all of what is said to HAProxy's command line.
var commands = regexp.MustCompile(`^[a-z]+( [A-Za-z0-9_.:/-]+)+%?( [A-Za-z0-9_.:/-]+%?)*$`)

// Executed tells that an instance has executed a command on one of its servers.
func (o *Oracle) Executed(at time.Time, c Command) {
	o.keep("Executed", at, c)
	o.executed(at, c)
}

func (o *Oracle) executed(at time.Time, c Command) {
	in := o.instances[c.Instance]
	if in == nil {
		return
	}
	rows := in.backends[c.Backend]
	if c.Other {
		o.noteTaken(at, in, c)
	}
	for _, s := range []*Server{c.Before, c.After} {
		if s == nil {
			continue
		}
		key := [2]string{c.Backend, s.Name}
		if c.Other {
			if c.moves() {
				in.hand[key], in.theirs[s.Addr] = at, true
			}
		} else if !c.Refused {
			in.calls[key], in.last = at, at
		}
	}
	if !c.Other {
		o.judge(at, in, c)
		if !c.Refused && c.After != nil && (c.Before == nil || c.Before.Addr != c.After.Addr) {
			in.filled[[2]string{c.Backend, c.After.Name}] = true
		}
	}
	switch {
	case rows == nil:
	case c.After == nil && c.Before != nil:
		delete(rows, c.Before.Name)
	case c.After != nil:
		rows[c.After.Name] = *c.After
	}
}

// AgentSaid tells that HAProxy did what the agent of a server said. It must not bring back
// who left.
func (o *Oracle) AgentSaid(at time.Time, c Command) {
	o.keep("AgentSaid", at, c)
	in, b := o.instances[c.Instance], o.backendOf(c.Backend)
	if in == nil || c.Before == nil || c.After == nil {
		return
	}
	if in.managed && b != nil && in.calm(at, Calm) && c.Before.State != Ready && c.After.State == Ready && !in.theirs[c.After.Addr] {
		if since, gone := b.gone[c.After.Addr]; gone && at.Sub(since) > Calm {
			o.wrong(at, "agent", "%s: its agent brings %s back, which is gone since %s", c.Instance, c.After.Addr, since.Format(time.TimeOnly))
		}
	}
	if c.Before.State == c.After.State {
		if rows := in.backends[c.Backend]; rows != nil {
			rows[c.After.Name] = *c.After
		}
		return
	}
	o.executed(at, c)
}

// judge looks at what the agent did.
func (o *Oracle) judge(at time.Time, in *instance, c Command) {
	if !commands.MatchString(c.Text) {
		o.wrong(at, "grammar", "%s was sent %q", c.Instance, c.Text)
	}
	b := o.backendOf(c.Backend)
	switch {
	case b == nil || !in.managed || !b.at(c.Instance):
		if at.Sub(o.changed) > Grace && c.Before != nil {
			o.wrong(at, "not ours", "%s: %q, and nothing is configured to be done there", c.Instance, c.Text)
		}
		return
	case c.Before != nil && strings.HasPrefix(c.Before.Name, "static"):
		o.wrong(at, "not ours", "%s: %q", c.Instance, c.Text)
		return
	}
	if strings.Contains(c.Text, " addr ") && c.Before != nil && !c.Refused {
		o.readdress(at, in, c)
	}
	was, is := served(c.Before), served(c.After)
	switch {
	case is.IsValid() && is != was:
		o.came(at, in, b, c, is)
	case was.IsValid() && is != was:
		o.left(at, in, b, c, was)
	}
}

// readdress judges a new address of a slot: there must be no traffic that it could reach.
func (o *Oracle) readdress(at time.Time, in *instance, c Command) {
	hand := at.Sub(in.hand[[2]string{c.Backend, c.Before.Name}]) < Calm
	if a := addressIn(c.Text); a == c.Before.Addr || hand {
		return
	}
	if c.Before.State != Maint {
		o.wrong(at, "order", "%s: %q while the slot is in %s", c.Instance, c.Text, c.Before.State)
	}
	if c.Before.Sessions > 0 {
		o.wrong(at, "busy", "%s: %q while it has %d sessions", c.Instance, c.Text, c.Before.Sessions)
	}
}

// addressIn is the address in "set server b/s addr A port P".
func addressIn(command string) netip.AddrPort {
	words := strings.Fields(command)
	if len(words) < 7 || words[3] != "addr" || words[5] != "port" {
		return netip.AddrPort{}
	}
	ip, err := netip.ParseAddr(words[4])
	port, err2 := strconv.ParseUint(words[6], 10, 16)
	if err != nil || err2 != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip, uint16(port))
}

// served is the address that gets traffic there.
func served(s *Server) netip.AddrPort {
	if s == nil || s.State != Ready {
		return netip.AddrPort{}
	}
	return s.Addr
}

// came judges an endpoint that was put into service.
func (o *Oracle) came(at time.Time, in *instance, b *backend, c Command, a netip.AddrPort) {
	switch {
	case at.Sub(in.born) < Window:
		return // what was meant for the process before it
	case a.Port() <= 1 || a.Addr().IsUnspecified():
		o.wrong(at, "void", "%s: %q puts %s into service", c.Instance, c.Text, a)
		return
	case !b.listed[a]:
		o.wrong(at, "ghost", "%s: %q puts %s into service, which nobody ever listed", c.Instance, c.Text, a)
		return
	case b.refused(a) && !b.allRefused(a) && b.first[a].After(o.changed) && at.Sub(o.changed) > Grace && in.calm(at, Grace):
		o.wrong(at, "refused", "%s: %q puts %s into service, which is denied", c.Instance, c.Text, a)
	}
	if !in.calm(at, Grace) {
		return // what was sent before a hang is executed after it
	}
	o.gaveBack(at, in, b, c)
	for ask := range o.acked {
		if ask.holds(b.Name, a) && o.inForce(at, ask) && at.Sub(o.acked[ask]) > Grace {
			o.wrong(at, "override", "%s: %q puts %s into service, although %s", c.Instance, c.Text, a, ask)
		}
	}
}

// left judges an endpoint that was taken out of service: there must be a reason.
func (o *Oracle) left(at time.Time, in *instance, b *backend, c Command, a netip.AddrPort) {
	o.done = append(o.done, removal{at, c.Instance, c.Before.Name, c.Text})
	o.room(at, b)
	o.forgive(at, b)
	defer b.confirm(at, a)
	defer delete(b.stayed, a)
	if o.excused(at, in, b, c, a) {
		return
	}
	if !b.listed[a] {
		if !b.accepted[a] && in.found[[2]string{c.Backend, c.Before.Name}] == a {
			o.wrong(at, "foreign", "%s: %q takes %s out of service, which nobody ever listed", c.Instance, c.Text, a)
		}
		return
	}
	since := Grace
	if !in.calm(at, Grace) {
		since = at.Sub(in.fault) + Calm // the agent, or the command, is late
	}
	if at.Sub(b.was[a]) <= since && b.state(a) != "" && !b.was[a].IsZero() {
		return
	}
	switch state := b.state(a); {
	case state == Ready && !b.refused(a) && !in.filled[[2]string{c.Backend, c.Before.Name}]:
		o.moved = append(o.moved, move{at, c.Instance, b.Name, a, c.Text, in.born})
	case state == Ready && !b.refused(a):
		o.wrong(at, "kept", "%s: %q takes %s out of service, which is %s", c.Instance, c.Text, a, b.why(a))
	case in.calm(at, Calm) && o.steady(at) && at.Sub(o.resumed) > Grace && at.Sub(b.pausedAt) > Stale && at.Sub(b.tight) > Calm && !o.adds(b.Name):
		// a pause puts off, and who is held gives way where slots are scarce
		if why := b.mayGo(a, at); why != "" {
			o.wrong(at, "guard", "%s: %q takes %s out of service: %s", c.Instance, c.Text, a, why)
		}
	}
}

// adds reports whether an operator added an endpoint, which counts as one that has come.
func (o *Oracle) adds(backend string) bool {
	for ask := range o.acked {
		if ask.Kind == "server" && ask.Backend == backend {
			return true
		}
	}
	return false
}

// forgive takes for no loss any more what was accepted, or is gone for long enough, as confirmed, and
// was out of service already, so that nothing told when it went.
func (o *Oracle) forgive(at time.Time, b *backend) {
	for a, since := range b.gone {
		if !b.accepted[a] && (b.confirmed[a] < 3 || b.Hold < 0 || at.Sub(since) < b.Hold) {
			continue
		}
		served := false
		for _, in := range o.instances {
			served = served || in.managed && in.serves(b.Name, a)
		}
		if !served {
			b.drop(a)
		}
	}
}

func (b *backend) why(a netip.AddrPort) string {
	if b.kept(a) {
		return "kept: no part that lists it is whole without it"
	}
	return "listed"
}

// excused reports whether a slot may be emptied although its endpoint is listed.
func (o *Oracle) excused(at time.Time, in *instance, b *backend, c Command, a netip.AddrPort) bool {
	for ask := range o.acked {
		if ask.touches(b.Name, a) {
			return true
		}
	}
	for ask := range o.doubtful {
		if ask.touches(b.Name, a) {
			return true
		}
	}
	for ask, ended := range o.ended {
		if ask.touches(b.Name, a) && (at.Sub(ended) < Calm || !in.calm(at, Calm)) {
			return true
		}
	}
	if b.Primary != "" && !b.everywhere(a) || at.Sub(b.scarce) < Calm || at.Sub(o.changed) < Calm {
		return true
	}
	for name, s := range in.backends[c.Backend] {
		if name != c.Before.Name && s.Addr == a && s.State == Ready {
			return true // it is in another slot too
		}
	}
	return in.theirs[a] || !in.hand[[2]string{c.Backend, c.Before.Name}].IsZero()
}

func (o *Oracle) backendOf(name string) *backend {
	if b := o.backends[name]; b != nil && b.present {
		return b
	}
	return nil
}
