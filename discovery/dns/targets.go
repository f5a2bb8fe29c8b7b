package dns

import (
	"context"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

const (
	maxTargets  = 256 // SRV targets that are asked for in one lookup
	maxParallel = 16  // of them at a time
)

// targets knows the addresses of all targets, of the reply itself or by asking.
func (a asker) targets(ctx context.Context, records []record, glue map[string]host, wanted families, known memory) (map[string]resolved, error) {
	glue = wantedGlue(glue, wanted)
	missing, err := missingGlue(records, glue)
	if err != nil {
		return nil, err
	}
	hosts := map[string]resolved{}
	for _, r := range records {
		if h := glue[r.target]; len(h.addrs) > 0 {
			hosts[r.target] = resolved{host: h, learned: split(r.target, h.addrs)}
		}
	}
	asked := make([]resolved, len(missing))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(maxParallel, len(missing)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(missing)); i = next.Add(1) - 1 {
				asked[i] = a.target(ctx, missing[i], wanted, known)
			}
		})
	}
	wg.Wait()
	for i, name := range missing {
		hosts[name] = asked[i]
	}
	return hosts, nil
}

// target asks for the addresses of an SRV target. If that fails they are the
// last known ones, or the one that the name itself tells.
func (a asker) target(ctx context.Context, name string, wanted families, known memory) resolved {
	h := combine(name, wanted.qtypes, a.hosts(ctx, name, wanted), known)
	if h.err == nil {
		return h
	}
	if last, ok := known.recall(name, wanted); ok {
		return last
	}
	if told := wanted.of(spelled(name)); len(told) > 0 {
		return resolved{host: host{addrs: told}}
	}
	h.err = discovery.Errorf(discovery.ClassOf(h.err), "target %w", cause(h.err))
	return h
}

// spelled returns the address that Consul has spelled out in name, as in
// 0a090001.addr.dc1.consul.
func spelled(name string) []netip.Addr {
	digits, rest, _ := strings.Cut(name, ".")
	if !strings.HasPrefix(rest, "addr.") {
		return nil
	}
	raw, err := hex.DecodeString(digits)
	if err != nil {
		return nil
	}
	a, ok := netip.AddrFromSlice(raw)
	if !ok {
		return nil
	}
	return []netip.Addr{a.Unmap()}
}

// wantedGlue leaves of the addresses that came along those that are wanted.
func wantedGlue(glue map[string]host, wanted families) map[string]host {
	out := make(map[string]host, len(glue))
	for name, h := range glue {
		if addrs := wanted.of(h.addrs); len(addrs) > 0 {
			out[name] = host{addrs, h.ttl}
		}
	}
	return out
}

// missingGlue lists the targets of records whose addresses did not come along,
// each once, in order.
func missingGlue(records []record, glue map[string]host) ([]string, error) {
	var names []string
	for _, r := range records {
		if len(glue[r.target].addrs) == 0 {
			names = append(names, r.target)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > maxTargets {
		return nil, discovery.Errorf(discovery.Protocol, "cap: %d SRV targets without an address in the answer, %d are asked for at most",
			len(names), maxTargets)
	}
	return names, nil
}

// split sorts addresses by family. The family that has none is known to have
// none.
func split(name string, addrs []netip.Addr) memory {
	m := memory{{name, wire.TypeA}: {}, {name, wire.TypeAAAA}: {}}
	for _, a := range addrs {
		k := key{name, qtypeOf(a)}
		m[k] = append(m[k], a)
	}
	return m
}
