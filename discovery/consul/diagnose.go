package consul

import (
	"context"
	"strings"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

// Diagnose asks the agent, once, for what its answers rest on: which version it is,
// whether it knows the token, and whether the token lets nodes be read, without
// which every service looks empty. watches is how many services are going to be
// watched. It returns when ctx is done at the latest.
func (c *Client) Diagnose(ctx context.Context, watches int) []discovery.Finding {
	token := c.http.Token()
	v, err := c.self(ctx, token)
	if err != nil {
		return []discovery.Finding{discovery.Findingf(discovery.Faulty, "the agent cannot be asked: %v", err)}
	}
	return []discovery.Finding{c.checkVersion(v), c.checkToken(ctx, token, v), c.checkNodes(ctx, token), c.http.CheckBudget(watches)}
}

func (c *Client) checkVersion(v version) discovery.Finding {
	switch {
	case v == (version{}) && c.opts.Namespace+c.opts.Partition != "":
		return discovery.Findingf(discovery.Dubious, "%s does not tell this token its version, so that nobody knows whether it ignores namespaces and partitions: it needs agent:read", c.http.At)
	case v == (version{}):
		return discovery.Findingf(discovery.Fine, "%s answers, and does not tell this token its version (agent:read)", c.http.At)
	}
	return discovery.Findingf(discovery.Fine, "%s is Consul %s", c.http.At, v.text)
}

func (c *Client) checkToken(ctx context.Context, token string, v version) discovery.Finding {
	_, _, err := c.peek(ctx, "/v1/acl/token/self", longpoll.Request{}, token)
	switch {
	case err != nil && strings.Contains(err.Error(), "ACL support disabled"):
		return discovery.Findingf(discovery.Fine, "ACLs are off")
	case token == "" && v != (version{}) && v.before("1.11"):
		return discovery.Findingf(discovery.Dubious, "there is no token, and before Consul 1.11 nothing tells what is hidden from what is not there: "+
			"a service may look empty; only the guard's hold protects it")
	case token == "":
		return discovery.Findingf(discovery.Dubious, "ACLs are on and there is no token: what it may not see looks as if it were not there")
	case err == nil:
		return discovery.Findingf(discovery.Fine, "the token is known")
	}
	return discovery.Findingf(discovery.Faulty, "the token is refused (%v): give it a valid one", err)
}

// checkNodes finds out whether nodes may be read: there is always one, the agent's
// own.
func (c *Client) checkNodes(ctx context.Context, token string) discovery.Finding {
	body, hidden, err := c.peek(ctx, "/v1/catalog/nodes", longpoll.Request{Mode: longpoll.Stale}, token)
	switch {
	case err != nil:
		return discovery.Findingf(discovery.Faulty, "its nodes cannot be read: %v", err)
	case strings.HasPrefix(body, "[]"):
		return discovery.Findingf(discovery.Faulty, `no node may be read, so that every service looks empty: the token needs node_prefix "" { policy = "read" }`)
	case hidden:
		return discovery.Findingf(discovery.Dubious, `some nodes may not be read, and their instances look as if they were not there: the token needs node_prefix "" { policy = "read" }`)
	}
	return discovery.Findingf(discovery.Fine, "nodes may be read")
}

// maxPeek is more than the beginning that tells.
const maxPeek = 4 << 10

// peek returns the beginning of what q is answered at a path, and whether something was left
// out of it for lack of rights.
func (c *Client) peek(ctx context.Context, path string, q longpoll.Request, token string) (body string, hidden bool, err error) {
	header, body, err := c.http.Peek(ctx, c.http.URL(path, nil, q), token, maxPeek)
	if err != nil {
		return "", false, err
	}
	return body, parseHeader(header).filtered, nil
}
