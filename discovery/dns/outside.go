package dns

import (
	"cmp"
	"context"
	"fmt"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

// derived consults about a name that a record led to. One that the servers do not
// serve is asked for where the machine asks.
func (a asker) derived(ctx context.Context, k key, tries []try, quiet bool) verdict {
	own := a.resolve(ctx, k, tries, quiet)
	if !a.isOutside(k, own) {
		return own
	}
	machine, err := a.machine()
	if err != nil {
		if own.err != nil {
			own.err = discovery.Errorf(discovery.ClassOf(own.err), "%w; and %v", cause(own.err), err)
		}
		return own
	}
	theirs := machine.resolve(ctx, k, machine.everybody(k), quiet)
	switch {
	case theirs.err != nil && own.err != nil:
		theirs.err = discovery.Errorf(discovery.ClassOf(theirs.err), "%w; the system's resolver: %v", cause(own.err), cause(theirs.err))
	case theirs.err != nil && len(machine.holders.of(k, machine.settings.servers)) == 0:
		return own
	}
	return theirs
}

// isOutside says whether the servers do not serve k: they refuse it, or it is not of
// Consul and they are.
func (a asker) isOutside(k key, own verdict) bool {
	if a.system || len(a.client.options.Servers) == 0 || own.outcome == found || own.proved || a.serve(k.name) {
		return false
	}
	return isConsul(a.subject) && !isConsul(k.name) || own.err != nil && discovery.ClassOf(own.err) == discovery.Auth
}

// serve says whether the servers have shown addresses of name.
func (a asker) serve(name string) bool {
	return len(a.holders.of(key{name, wire.TypeA}, a.settings.servers))+len(a.holders.of(key{name, wire.TypeAAAA}, a.settings.servers)) > 0
}

// machine is an asker of the servers of the machine's resolv.conf.
func (a asker) machine() (asker, error) {
	file, err := a.client.systemFile()
	if err != nil {
		return a, fmt.Errorf("the system's resolver: %w", err)
	}
	f := file.look()
	a.settings = settings{servers: f.servers, rounds: cmp.Or(f.rounds, defaultRounds), tcp: f.tcp && a.client.options.TCP != Never,
		timeout: cmp.Or(a.client.options.Timeout, f.timeout, DefaultTimeout)}
	a.system = true
	return a, nil
}

// systemFile is the resolv.conf of the machine, which is read when it is first needed.
func (c *Client) systemFile() (*resolvFile, error) {
	if c.file != nil {
		return c.file, nil
	}
	c.opening.Lock()
	defer c.opening.Unlock()
	if c.systems == nil {
		file, err := openResolvConf(cmp.Or(c.options.ResolvConf, resolvConf))
		if err != nil {
			return nil, err
		}
		c.systems = file
	}
	return c.systems, nil
}
