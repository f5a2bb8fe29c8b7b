package consul

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/segmentio/encoding/json"

	"github.com/slotsync/slotsync/discovery/longpoll"
)

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
