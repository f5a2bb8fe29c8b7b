package client

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/slotsync/slotsync/agent/api"
)

// HAProxySections lists the sections of HAProxy's configuration.
func (c *Client) HAProxySections(ctx context.Context, name string) ([]api.ConfigSection, error) {
	return into[[]api.ConfigSection](ctx, c, http.MethodGet, api.SectionsPath+query("reload", name), nil)
}

// HAProxySection returns one section, and the tag of the whole configuration. The
// error wraps [api.ErrNoSection] if there is none of that name.
func (c *Client) HAProxySection(ctx context.Context, name, typ, section string) (text, etag string, err error) {
	got, err := c.do(ctx, http.MethodGet, sectionPath(typ, section)+query("reload", name), nil)
	if err == nil {
		err = got.section()
	}
	if err != nil {
		return "", "", err
	}
	return string(got.body), got.etag, nil
}

// EditHAProxySection makes the change and waits for the end of the reload; with
// dry it only says what would change. e.ETag is what [Client.HAProxySection]
// returned, "*" for whatever is there.
func (c *Client) EditHAProxySection(ctx context.Context, e api.SectionEdit, dry bool) (api.SectionAnswer, error) {
	method, force, wet := http.MethodPut, "", ""
	if e.Body == nil {
		method = http.MethodDelete
	}
	if e.Force {
		force = "true"
	}
	if dry {
		wet = "true"
	}
	path := sectionPath(e.Type, e.Name) + query("reload", e.Reload, "by", e.By, "force", force, api.DryRun, wet)
	got, err := c.patient().send(ctx, method, path, bytes.NewReader(e.Body), e.ETag)
	return decode[api.SectionAnswer](got, err, reply.section)
}

func sectionPath(typ, name string) string {
	path := api.SectionsPath + "/" + url.PathEscape(typ)
	if name != "" {
		path += "/" + url.PathEscape(name)
	}
	return path
}

// section returns why the reply is not about the section that was asked for.
func (r reply) section() error {
	switch r.status {
	case http.StatusNotFound:
		return fmt.Errorf("%w: %s", api.ErrNoSection, r.detail())
	case http.StatusPreconditionFailed:
		return api.ErrChanged
	}
	return r.haproxy()
}
