package remote

import (
	"context"
	"errors"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
)

// DiffVersions returns what changed between two kept versions of HAProxy's configuration: of
// the reload called name, from the newest good one if from is "", to the file if to is "".
func DiffVersions(ctx context.Context, c *client.Client, name, from, to string) (string, error) {
	if from == "" {
		kept, err := c.HAProxyVersions(ctx, name)
		if err != nil {
			return "", err
		}
		if from, err = newestGood(kept); err != nil {
			return "", err
		}
	}
	return c.HAProxyDiff(ctx, name, from, to)
}

// newestGood returns the newest version that HAProxy ran with; kept has the newest first.
func newestGood(kept []api.ConfigVersion) (id string, err error) {
	for _, v := range kept {
		if v.Good {
			return v.ID, nil
		}
	}
	return "", errors.New("no version is known to be good, to compare the file with: slotsync haproxy config history lists what is kept")
}

// PreviewSection returns what e would change, and e with what makes the agent refuse it if
// the configuration changes meanwhile.
func PreviewSection(ctx context.Context, c *client.Client, e api.SectionEdit) (api.SectionEdit, api.SectionAnswer, error) {
	_, etag, err := c.HAProxySection(ctx, e.Reload, e.Type, e.Name)
	if errors.Is(err, api.ErrNoSection) && e.Body != nil {
		etag, err = "*", nil // it is a new one: the agent refuses two of a name
	}
	if err != nil {
		return e, api.SectionAnswer{}, err
	}
	e.ETag = etag
	preview, err := c.EditHAProxySection(ctx, e, true)
	return e, preview, err
}
