package nomad

import (
	"context"
	"net/url"

	"github.com/slotsync/slotsync/discovery/longpoll"
)

func (c *Client) exchange(ctx context.Context, url, token string) (reply, error) {
	resp, err := c.http.Open(ctx, url, token)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	r := parseHeader(resp.Header)
	err = c.http.ReadBody(ctx, resp.Body, func(raw []byte) (err error) {
		r.list, err = decode(raw)
		return err
	})
	if err != nil {
		return reply{}, c.http.Unreadable(ctx, err)
	}
	return r, nil
}

func (c *Client) url(q Query, req longpoll.Request) string {
	v := url.Values{}
	for key, value := range map[string]string{"namespace": c.opts.Namespace, "region": c.opts.Region, "filter": q.Filter} {
		if value != "" {
			v.Set(key, value)
		}
	}
	return c.http.URL("/v1/service/"+q.Service, v, req)
}
