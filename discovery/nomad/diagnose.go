package nomad

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

// Diagnose asks the agent, once, for what its answers rest on: which version it is,
// whether it has a leader, and whether it knows the token. watches is how many
// services are going to be watched. It returns when ctx is done at the latest.
func (c *Client) Diagnose(ctx context.Context, watches int) []discovery.Finding {
	token := c.http.Token()
	leader, err := c.peek(ctx, "/v1/status/leader", token)
	if err != nil {
		return []discovery.Finding{discovery.Findingf(discovery.Faulty, "the agent cannot be asked: %v", err)}
	}
	var out []discovery.Finding
	if strings.Trim(leader, `" `) == "" {
		out = append(out, discovery.Findingf(discovery.Faulty, "%s knows no leader: its servers have to elect one", c.http.At))
	}
	return append(out, c.checkVersion(ctx, token), c.checkToken(ctx, token), c.http.CheckBudget(watches))
}

func (c *Client) checkVersion(ctx context.Context, token string) discovery.Finding {
	version := c.version(ctx, token)
	if version == "" {
		return discovery.Findingf(discovery.Fine, "%s answers, and does not tell this token its version (agent:read)", c.http.At)
	}
	return discovery.Findingf(discovery.Fine, "%s is Nomad %s", c.http.At, discovery.Printable(version, 30))
}

// version is what the agent says that it is; "" if it does not.
func (c *Client) version(ctx context.Context, token string) string {
	raw, err := c.peek(ctx, "/v1/agent/self", token)
	var said struct {
		Member struct{ Tags struct{ Build string } }
		Config struct{ Version struct{ Version string } }
	}
	if err != nil || json.Unmarshal([]byte(raw), &said) != nil {
		return ""
	}
	if said.Config.Version.Version != "" {
		return said.Config.Version.Version
	}
	return said.Member.Tags.Build
}

func (c *Client) checkToken(ctx context.Context, token string) discovery.Finding {
	_, err := c.peek(ctx, "/v1/acl/token/self", token)
	switch {
	case err != nil && strings.Contains(err.Error(), "ACL support disabled"):
		return discovery.Findingf(discovery.Fine, "ACLs are off")
	case token == "":
		return discovery.Findingf(discovery.Dubious, "ACLs are on and there is no token: services can be read only if the anonymous policy has read-job")
	case err == nil:
		return discovery.Findingf(discovery.Fine, "the token is known")
	case isIdentity(token) && strings.Contains(err.Error(), tokenNotFound):
		return discovery.Findingf(discovery.Fine, "the token is a workload identity, of which Nomad keeps no list: what it may read is seen below")
	}
	return discovery.Findingf(discovery.Faulty, "the token is refused (%v): give it a valid one", err)
}

// tokenNotFound is what Nomad says of a token that it does not keep. A workload identity
// that is not valid is answered otherwise ("Permission denied").
const tokenNotFound = "ACL token not found"

// isIdentity reports whether a token is a JWT, as Nomad gives its tasks (RFC 7519).
func isIdentity(token string) bool {
	return strings.HasPrefix(token, "eyJ") && strings.Count(token, ".") == 2
}

// maxSelf bounds what an agent says of itself.
const maxSelf = 4 << 20

func (c *Client) peek(ctx context.Context, path, token string) (string, error) {
	_, body, err := c.http.Peek(ctx, c.http.URL(path, nil, longpoll.Request{}), token, maxSelf)
	return body, err
}
