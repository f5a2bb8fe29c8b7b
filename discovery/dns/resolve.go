package dns

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

const maxChases = 4 // names that are asked for because a CNAME leads there

// An asker asks the servers of one settings on behalf of one source.
type asker struct {
	client   *Client
	settings settings
	holders  *holders
	subject  string // the name that the source asks for
	system   bool   // these are the servers of the machine, where others do not serve a name
	chases   int
}

// A verdict is what the servers come to about one set.
type verdict struct {
	reply        // that it rests on
	items []item // of outcome found
	// err says that no server answered whose answer counts: one that has had records, or
	// any where none has. What follows is for answers without records and error.
	err    error
	proved bool   // a server that has had records says, twice, that there are none
	why    string // they prove nothing
	told   error  // a server answered with a failure
	note   string
}

// Where this begins a reason, no server has ever shown records of the set.
const noneYet = discovery.NoneYet

// resolve asks servers about k until one shows records. Where one has none the others
// are asked too, all at once, unless quiet says that it is known that they have none.
func (a asker) resolve(ctx context.Context, k key, tries []try, quiet bool) verdict {
	return a.decide(ctx, k, a.poll(ctx, k, tries, quiet))
}

func (a asker) poll(ctx context.Context, k key, tries []try, quiet bool) *responses {
	c := new(responses)
	for i, t := range tries {
		if c.settled(t.server) {
			continue
		}
		r, err := a.client.query(ctx, a.settings, t, k.name, k.qtype)
		c.add(t.server, r, err)
		switch {
		case c.shown != nil:
			return c
		case err == nil:
			holds := len(a.holders.of(k, []string{t.server})) > 0
			if !holds && (!quiet || r.outcome != noData || r.alias != "") || len(a.settings.servers) > 1 && holds {
				a.askOthers(ctx, k, tries[i+1:], c)
			}
			return c
		case ctx.Err() != nil:
			return c
		}
	}
	return c
}

// askOthers asks those that have not answered yet at the same time: the servers of tries,
// each once, and those that are known to have had k.
func (a asker) askOthers(ctx context.Context, k key, tries []try, c *responses) {
	for _, s := range a.holders.of(k, a.settings.servers) {
		tries = append(slices.Clone(tries), try{server: s})
	}
	var asked []try
	for _, t := range tries {
		if !c.settled(t.server) && !slices.ContainsFunc(asked, func(o try) bool { return o.server == t.server }) {
			asked = append(asked, t)
		}
	}
	replies, errs := make([]reply, len(asked)), make([]error, len(asked))
	var wg sync.WaitGroup
	for i, t := range asked {
		wg.Go(func() { replies[i], errs[i] = a.client.query(ctx, a.settings, t, k.name, k.qtype) })
	}
	wg.Wait()
	for i, t := range asked {
		c.add(t.server, replies[i], errs[i])
	}
}

// decide says what c comes to. Records count, whoever shows them. That there are none
// counts if one says so, and again in the strongest way, who has shown some before.
func (a asker) decide(ctx context.Context, k key, c *responses) verdict {
	if c.shown != nil {
		return a.withRecords(k, *c.shown)
	}
	holders := a.holders.of(k, a.settings.servers)
	out := verdict{told: c.serverFailure()}
	for _, r := range c.denied {
		holds := slices.Contains(holders, r.server)
		lone := len(holders) == 0 && len(c.denied) == 1 && (r.outcome == nxDomain || r.alias != "")
		if !holds && !lone {
			continue
		}
		again, err := a.client.query(ctx, a.settings, a.strongest(r.server), k.name, k.qtype)
		switch {
		case err == nil && again.outcome == found:
			return a.withRecords(k, again)
		case err != nil && holds:
			out.reply, out.why = r, fmt.Sprintf("%s, and no second answer: %v", says(r), cause(err))
		case err == nil && again.alias != "":
			out = a.chase(ctx, k, again, out)
			if out.outcome == found || out.proved {
				return out
			}
		case holds && !again.proof && !a.knowsName(ctx, k, r.server):
			out.reply, out.why = again, says(again)+" without an SOA record, which proves nothing"
		case holds:
			again.ttl = min(again.ttl, r.ttl)
			return verdict{reply: again, proved: true, told: out.told, note: deniedNote(c.denied, again)}
		}
	}
	switch {
	case out.why != "" || out.err != nil:
		return out
	case len(holders) > 0:
		return a.holdersSilent(holders, c, out)
	case len(c.denied) > 0:
		return a.neverHad(ctx, k, c, out)
	}
	out.err = discovery.Errorf(discovery.Transport, "no server was asked in time")
	if len(c.failed) > 0 {
		out.err = cmp.Or(out.told, c.failed[len(c.failed)-1].err)
	}
	return out
}

// knowsName says whether server shows addresses of the other family of k: then "none"
// of this one is no referral, even if nothing else proves it, as from dnsmasq.
func (a asker) knowsName(ctx context.Context, k key, server string) bool {
	other, ok := map[uint16]uint16{wire.TypeA: wire.TypeAAAA, wire.TypeAAAA: wire.TypeA}[k.qtype]
	if !ok {
		return false
	}
	r, err := a.client.query(ctx, a.settings, a.strongest(server), k.name, other)
	return err == nil && r.outcome == found
}

// withRecords is the answer of a server with records.
func (a asker) withRecords(k key, r reply) verdict {
	a.holders.add(k, r.server)
	if !a.system && !a.settings.rotate {
		a.client.servers.prefer(r.server)
	}
	out := verdict{reply: r, items: itemsOf(r), note: says(r)}
	if err := capped(len(out.items)); err != nil {
		return verdict{err: err}
	}
	return out
}

// holdersSilent is the answer where those that have had records do not answer.
func (a asker) holdersSilent(holders []string, c *responses, out verdict) verdict {
	out.err = discovery.Errorf(discovery.Transport, "%s, which had it, was not asked in time", holders[0])
	for _, s := range holders {
		if err := c.failureOf(s); err != nil {
			out.err = err
			break
		}
	}
	if len(c.denied) > 0 {
		out.err = discovery.Errorf(discovery.ClassOf(out.err), "%w (it had this; %s, which never did, counts for nothing)",
			cause(out.err), says(c.denied[0]))
	}
	return out
}

// neverHad is the answer where nobody has ever had records, and somebody says so.
func (a asker) neverHad(ctx context.Context, k key, c *responses, out verdict) verdict {
	out.reply = c.denied[0]
	for _, r := range c.denied {
		out.ttl = min(out.ttl, r.ttl)
		if r.outcome == noData { // the name exists
			out.outcome = noData
		}
		if r.alias != "" {
			return a.chase(ctx, k, r, out)
		}
	}
	out.note = deniedNote(c.denied, c.denied[0])
	if len(c.denied) == 1 && out.outcome == noData { // it was not asked again
		out.note = says(out.reply)
	}
	out.why = noneYet + out.note
	for _, f := range c.failed {
		out.why += "; " + f.err.Error()
	}
	return out
}

// chase follows the alias that r leads to, by asking for it.
func (a asker) chase(ctx context.Context, k key, r reply, out verdict) verdict {
	to := key{r.alias, k.qtype}
	via := fmt.Sprintf("CNAME to %s: ", label(r.alias))
	if a.chases++; a.chases > maxChases {
		out.err = discovery.Errorf(discovery.Protocol, "%sthe last of %d CNAMEs in a row that are asked for", via, maxChases)
		return out
	}
	end := a.derived(ctx, to, a.everybody(to), false)
	if r.ttl == 0 && end.err == nil { // a negative reply without an SOA record says nothing of its time
		r.ttl = end.ttl
	}
	end.ttl = min(end.ttl, r.ttl)
	switch {
	case end.err != nil:
		end.err = discovery.Errorf(discovery.ClassOf(end.err), "%s%w", via, cause(end.err))
	case end.outcome == found:
		a.holders.add(k, r.server)
		end.glue = nil
	case strings.HasPrefix(end.why, noneYet):
		end.why = noneYet + via + strings.TrimPrefix(end.why, noneYet)
	case end.why != "":
		end.why = via + end.why
	}
	end.note = via + end.note
	return end
}

// says is r in a few words.
func says(r reply) string { return string(r.outcome) + " from " + r.server }

// deniedNote says what "none" rests on.
func deniedNote(denied []reply, proof reply) string {
	if len(denied) == 1 {
		return string(proof.outcome) + " twice from " + proof.server
	}
	same := !slices.ContainsFunc(denied, func(r reply) bool { return r.outcome != denied[0].outcome })
	if same {
		return fmt.Sprintf("%s from %d servers", denied[0].outcome, len(denied))
	}
	var all []string
	for _, r := range denied {
		all = append(all, says(r))
	}
	return strings.Join(all, ", ")
}
