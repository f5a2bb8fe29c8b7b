package nomad

import (
	"context"
	"net/url"
	"slices"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

// A Source watches one service. It is a [discovery.Source].
type Source struct {
	*longpoll.Source[reply]
	adapter *adapter
}

var (
	_ discovery.Source    = (*Source)(nil)
	_ discovery.Recoverer = (*Source)(nil)
	_ discovery.Active    = (*Source)(nil)
)

// String implements [discovery.Source].
func (s *Source) String() string {
	name := "nomad service " + s.adapter.query.Service
	if n := s.adapter.client.opts.Namespace; n != "" && n != "default" {
		name += " in " + n
	}
	return name
}

// Confirm implements [discovery.Source]: it asks the leader, plainly.
func (s *Source) Confirm(ctx context.Context) (discovery.Reading, error) {
	r, err := s.Strongest(ctx)
	if err != nil {
		return discovery.Reading{}, err
	}
	return s.adapter.Reading(r), nil
}

// Activity implements [discovery.Active].
func (s *Source) Activity() discovery.Activity {
	a := s.Describe()
	a.Remarks = slices.Insert(a.Remarks, 0, "Nomad does not know which instances are healthy: HAProxy's checks decide")
	return a
}

// An adapter says how one service is asked for, and what its replies are worth. It is the
// [longpoll.Service] of a source.
type adapter struct {
	client *Client
	query  Query
}

// URL implements [longpoll.Service].
func (a *adapter) URL(q longpoll.Request) string { return a.client.url(a.query, q) }

// Get implements [longpoll.Service].
func (a *adapter) Get(ctx context.Context, q longpoll.Request) (reply, error) {
	return longpoll.Ask(ctx, a.client.http, q, func(ctx context.Context, token string) (reply, error) {
		return a.client.exchange(ctx, a.URL(q), token)
	})
}

// Judge implements [longpoll.Service].
func (a *adapter) Judge(q longpoll.Request, had int, r reply) (longpoll.Disposition, error) {
	return judge(a.query, q, had, r)
}

// Reading implements [longpoll.Service].
func (a *adapter) Reading(r reply) discovery.Reading { return a.query.reading(r) }

// Believe implements [longpoll.Service].
func (a *adapter) Believe(_ context.Context, _ longpoll.Request, d longpoll.Disposition, _ reply, _, reading discovery.Reading) (longpoll.Disposition, discovery.Reading, error) {
	if d == longpoll.ApplyPartly {
		reading = reading.Partly("the server knows no leader")
	}
	return d, reading, nil
}

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
