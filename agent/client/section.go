package client

import (
	"bytes"
	"context"
	"encoding/json"
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
	got, err := c.send(ctx, http.MethodGet, sectionPath(typ, section)+query("reload", name), nil)
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
func (c *Client) EditHAProxySection(ctx context.Context, e api.SectionEdit, dry bool) (a api.SectionAnswer, err error) {
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
	got, err := c.patient().sendIf(ctx, method, path, bytes.NewReader(e.Body), e.ETag)
	if err == nil {
		err = got.section()
	}
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(got.body, &a); err != nil {
		return api.SectionAnswer{}, fmt.Errorf("what answers at %s is no slotsync: %w", c.addr, err)
	}
	return a, nil
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
