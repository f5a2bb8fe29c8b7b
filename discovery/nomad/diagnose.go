package nomad

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/slotsync/slotsync/discovery"
)

// Diagnose asks the agent, once, for what its answers rest on: which version it is,
// whether it has a leader, and whether it knows the token. watches is how many
// services are going to be watched. It returns when ctx is done at the latest.
func (c *Client) Diagnose(ctx context.Context, watches int) []discovery.Finding {
	var out []discovery.Finding
	add := func(verdict, format string, args ...any) {
		out = append(out, discovery.Finding{Verdict: verdict, Text: fmt.Sprintf(format, args...)})
	}
	token := discovery.TokenOf(c.opts.Token)
	leader, err := c.peek(ctx, "/v1/status/leader", token)
	switch {
	case err != nil:
		add(discovery.Faulty, "the agent cannot be asked: %v", err)
		return out
	case strings.Trim(leader, `" `) == "":
		add(discovery.Faulty, "%s knows no leader: its servers have to elect one", c.at)
	}
	switch version := c.version(ctx, token); version {
	case "":
		add(discovery.Fine, "%s answers, and does not tell this token its version (agent:read)", c.at)
	default:
		add(discovery.Fine, "%s is Nomad %s", c.at, discovery.Printable(version, 30))
	}
	return append(out, c.checkToken(ctx, token), checkBudget(c, watches))
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

// checkToken finds out whether the agent knows the token.
func (c *Client) checkToken(ctx context.Context, token string) discovery.Finding {
	_, err := c.peek(ctx, "/v1/acl/token/self", token)
	told := ""
	if e, ok := errors.AsType[*discovery.Error](err); ok {
		told = e.Err.Error()
	}
	switch {
	case strings.Contains(told, "ACL support disabled"):
		return discovery.Finding{Verdict: discovery.Fine, Text: "ACLs are off"}
	case token == "":
		return discovery.Finding{Verdict: discovery.Dubious, Text: "ACLs are on and there is no token: services can be read only if the anonymous policy has read-job"}
	case err == nil:
		return discovery.Finding{Verdict: discovery.Fine, Text: "the token is known"}
	}
	return discovery.Finding{Verdict: discovery.Faulty, Text: fmt.Sprintf("the token is refused (%v): give it a valid one", err)}
}

// checkBudget compares the watches with the connections that they may take.
func checkBudget(c *Client, watches int) discovery.Finding {
	if watches > queries {
		return discovery.Finding{Verdict: discovery.Dubious, Text: fmt.Sprintf("%d services to watch, and %d connections for that: %d are polled every %s",
			watches, queries, watches-queries, c.opts.PollInterval)}
	}
	return discovery.Finding{Verdict: discovery.Fine, Text: fmt.Sprintf("%d services to watch, with up to %d connections", watches, queries)}
}

// maxSelf bounds what an agent says of itself.
const maxSelf = 4 << 20

// peek returns what is at a path.
func (c *Client) peek(ctx context.Context, path, token string) (string, error) {
	resp, err := c.open(ctx, c.at.Base.String()+path, token)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxSelf))
	if err != nil {
		return "", discovery.Errorf(discovery.Transport, "read Nomad's reply: %w", err)
	}
	return string(raw), nil
}
