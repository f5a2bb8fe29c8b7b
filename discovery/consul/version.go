package consul

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	goversion "github.com/hashicorp/go-version"
	"github.com/segmentio/encoding/json"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

const (
	askAgain   = 30 * time.Second // the least between two questions for the version
	maxSelf    = 4 << 20          // what an agent says of itself is some 20 KiB
	maxVersion = 40
)

// A version is what an agent says that it is. The zero value is that of one that
// does not tell.
type version struct {
	text       string // printable
	release    *goversion.Version
	enterprise bool
}

// parseVersion reads 1.8.7, 1.22.0-rc1 or 1.15.2+ent.fips1402; the zero version
// is returned for what is none. A pre-release counts as the release.
func parseVersion(s string) version {
	if len(s) > maxVersion {
		return version{}
	}
	v, err := goversion.NewSemver(s)
	if err != nil {
		return version{}
	}
	return version{s, v.Core(), slices.Contains(strings.Split(v.Metadata(), "."), "ent")}
}

func (v version) before(release string) bool {
	return v.release.LessThan(goversion.Must(goversion.NewVersion(release)))
}

// A need is a parameter that an agent may not know. Agents ignore such ones and
// answer, without a sign, the question that is left: of all instances, or of
// another service of that name.
type need struct {
	what       string
	since      string
	enterprise bool
}

func (c *Client) needs(q Query) []need {
	var out []need
	if len(q.NodeMeta) > 0 {
		out = append(out, need{what: "node metadata", since: "0.7.3"})
	}
	if len(q.Tags) > 1 {
		out = append(out, need{what: "all tags but one", since: "1.3"})
	}
	if q.Filter != "" {
		out = append(out, need{what: "filters", since: "1.5"})
	}
	if c.opts.Namespace != "" {
		out = append(out, need{what: "namespaces", since: "1.7", enterprise: true})
	}
	if c.opts.Partition != "" {
		out = append(out, need{what: "partitions", since: "1.11", enterprise: true})
	}
	return out
}

// lacks returns an error for the first of needs that an agent of version v does
// not know. One that does not tell its version is given the benefit of the doubt:
// filters are older than anything still in use, and whether it knows namespaces
// its replies have to show; see [Client.checkNamespace].
func (v version) lacks(needs []need) error {
	if v == (version{}) {
		return nil
	}
	for _, n := range needs {
		edition := ""
		if n.enterprise {
			edition = "Enterprise "
		}
		if v.before(n.since) || n.enterprise && !v.enterprise {
			return discovery.Errorf(discovery.Config, "this agent is Consul %s and ignores %s, which need Consul %s%s",
				v.text, n.what, edition, n.since)
		}
	}
	return nil
}

// An agent is what was learnt of the program that answers.
type agent struct {
	turn            chan struct{}           // held by the one that asks
	asked           time.Time               // guarded by turn
	version         atomic.Pointer[version] // nil before it was asked
	replaced        atomic.Bool             // a connection broke since: it may be another one now
	knowsNamespaces atomic.Bool             // a reply was of the namespace and partition that were asked for
}

// mayBeReplaced says that another agent may answer from now on.
func (g *agent) mayBeReplaced() {
	g.knowsNamespaces.Store(false)
	g.replaced.Store(true)
}

// requireVersion returns an error if the agent does not know what q needs. It is asked
// which version it is before the first query that needs any, and when it may be
// another one or have been upgraded, but not more often than each 30 seconds.
func (c *Client) requireVersion(ctx context.Context, q Query, token string) error {
	needs := c.needs(q)
	if len(needs) == 0 {
		return nil
	}
	g := &c.agent
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return discovery.Errorf(discovery.Transport, "ask Consul for its version: %w", ctx.Err())
	}
	v, now := g.version.Load(), time.Now()
	if v == nil || now.Sub(g.asked) >= askAgain && (g.replaced.Load() || v.lacks(needs) != nil) {
		g.replaced.Store(false)
		self, err := c.self(ctx, token)
		if err != nil {
			g.replaced.Store(true)
			return err
		}
		g.asked, v = now, &self
		g.version.Store(v)
	}
	return v.lacks(needs)
}

// self asks the agent for its version; the zero version if it does not tell, as
// to tokens without agent:read.
func (c *Client) self(ctx context.Context, token string) (version, error) {
	_, text, err := c.http.Peek(ctx, c.http.URL("/v1/agent/self", nil, longpoll.Request{}), token, maxSelf)
	if class := discovery.ClassOf(err); err != nil && (class == discovery.Auth || class == discovery.Config) {
		return version{}, nil
	}
	if err != nil {
		return version{}, err
	}
	raw := []byte(text)
	var said struct{ Config struct{ Version string } }
	if tooDeep(raw) || json.Unmarshal(raw, &said) != nil {
		return version{}, discovery.Errorf(discovery.Protocol, "what the agent says of itself is not JSON: is this Consul?")
	}
	return parseVersion(said.Config.Version), nil
}

// checkNamespace returns an error if r is of another namespace or partition than was asked
// for, or may be: an agent that did not tell its version, and has not shown that
// it knows them, may have ignored them, and no instances at all show nothing.
func (c *Client) checkNamespace(r reply) error {
	namespace, partition := c.opts.Namespace, c.opts.Partition
	if namespace == "" && partition == "" {
		return nil
	}
	for _, e := range r.entries {
		if !within(namespace, e.Service.Namespace) || !within(partition, e.Service.Partition) {
			c.agent.mayBeReplaced()
			return discovery.Errorf(discovery.Config, "asked for namespace %q of partition %q, the agent tells of %q and %q: it ignores them",
				namespace, partition, e.Service.Namespace, e.Service.Partition)
		}
	}
	if len(r.entries) > 0 {
		c.agent.knowsNamespaces.Store(true)
	}
	if v := c.agent.version.Load(); c.agent.knowsNamespaces.Load() || v != nil && *v != (version{}) {
		return nil
	}
	c.agent.mayBeReplaced()
	return discovery.Errorf(discovery.Config, "none in this namespace or partition, and without agent:read nobody knows whether the agent ignores them")
}

// within reports whether an instance in that namespace, or partition, is one that
// was asked for. Outside of Enterprise there is only the default one, unnamed.
func within(asked, is string) bool {
	return asked == "" || strings.EqualFold(asked, cmp.Or(is, "default"))
}
