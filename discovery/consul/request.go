package consul

import (
	"context"
	"net/url"

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
