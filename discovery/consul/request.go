package consul

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"github.com/segmentio/encoding/json"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

// get asks once. Its errors are ctx's own or a [discovery.Error].
func (c *Client) get(ctx context.Context, q Query, req longpoll.Request) (reply, error) {
	return longpoll.Ask(ctx, c.http, req, func(ctx context.Context, token string) (reply, error) { return c.exchange(ctx, q, req, token) })
}

func (c *Client) exchange(ctx context.Context, q Query, req longpoll.Request, token string) (reply, error) {
	if err := c.requireVersion(ctx, q, token); err != nil {
		return reply{}, err
	}
	resp, err := c.http.Open(ctx, c.url(q, req), token)
	if err != nil && discovery.ClassOf(err) == discovery.Transport {
		c.agent.mayBeReplaced()
	}
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	r := parseHeader(resp.Header)
	r.token, r.identity, r.mode = token != "", c.identity(q, token), req.Mode
	// It is read to its end before it is decoded, which also bounds the work: a decoder that
	// is fed in small pieces scans blanks between them again and again.
	err = c.http.ReadBody(ctx, resp.Body, func(raw []byte) (err error) {
		r.entries, err = decode(raw)
		return err
	})
	if err != nil {
		c.agent.mayBeReplaced()
		return reply{}, c.http.Unreadable(ctx, err)
	}
	if err := c.checkNamespace(r); err != nil {
		return reply{}, err
	}
	return r, nil
}

func (c *Client) url(q Query, req longpoll.Request) string {
	v := url.Values{}
	for key, value := range map[string]string{
		"dc": c.datacenter(q), "ns": c.opts.Namespace, "partition": c.opts.Partition, "filter": q.Filter,
	} {
		if value != "" {
			v.Set(key, value)
		}
	}
	if len(q.Tags) > 0 {
		v["tag"] = q.Tags
	}
	if len(q.NodeMeta) > 0 {
		v["node-meta"] = q.NodeMeta
	}
	return c.http.URL("/v1/health/service/"+q.Service, v, req)
}

// maxCatalog bounds a list of services: some 100,000 of them with their tags.
const maxCatalog = 16 << 20

// Services returns the names of all services that the token may see, sorted. It asks once
// (GET /v1/catalog/services) and returns when ctx is done at the latest.
func (c *Client) Services(ctx context.Context) ([]string, error) {
	_, body, err := c.http.Peek(ctx, c.http.URL("/v1/catalog/services", nil, longpoll.Request{Mode: longpoll.Stale}), c.http.Token(), maxCatalog)
	if err != nil {
		return nil, err
	}
	if tooDeep([]byte(body)) {
		return nil, fmt.Errorf("%s: the list of services is nested deeper than %d levels", c.http.At, maxDepth)
	}
	var tags map[string][]string
	if err := json.Unmarshal([]byte(body), &tags); err != nil {
		return nil, fmt.Errorf("%s: the list of services cannot be read: %w", c.http.At, err)
	}
	return slices.Sorted(maps.Keys(tags)), nil
}
