package client

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
)

const (
	// silence is how long nothing may come from an agent that is there.
	silence = 3 * api.Heartbeat
	// maxEventLine bounds one line of what a client reads, in bytes.
	maxEventLine = 1 << 20
)

var errSilent = errors.New("nothing came for too long")

// Events yields what changes after the event with that ID, 0 for from now on. It ends
// with an error, or when ctx does; the agent ends it after an hour, and when it stops.
// Then it can be called again with the last ID: if events are missing by then, the
// first is of kind [api.EventGap].
func (c *Client) Events(ctx context.Context, after uint64) iter.Seq2[api.Event, error] {
	return func(yield func(api.Event, error) bool) {
		err := c.readEvents(ctx, after, func(e api.Event) bool { return yield(e, nil) })
		if err != nil && ctx.Err() == nil {
			yield(api.Event{}, err)
		}
	}
}

// readEvents takes events until take has enough.
func (c *Client) readEvents(ctx context.Context, after uint64, take func(api.Event) bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer idle.Stop()
	resp, err := c.openEvents(ctx, after)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEventLine)
	for lines.Scan() {
		idle.Reset(silence)
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var e api.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("what answers at %s is no slotsync: %w", c.addr, err)
		}
		if !take(e) {
			return nil
		}
	}
	return c.unreachable(cmp.Or(context.Cause(ctx), lines.Err(), io.ErrUnexpectedEOF))
}

func (c *Client) openEvents(ctx context.Context, after uint64) (*http.Response, error) {
	req, err := c.request(ctx, http.MethodGet, "/v1/events", nil)
	if err != nil {
		return nil, err
	}
	if after > 0 {
		req.Header.Set("Last-Event-ID", strconv.FormatUint(after, 10))
	}
	endless := *c.http
	endless.Timeout = 0
	resp, err := endless.Do(req)
	if err != nil {
		return nil, c.unreachable(cmp.Or(context.Cause(ctx), err))
	}
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || kind != api.EventType {
		defer resp.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxEventLine)) // the status says enough
		err := reply{addr: c.addr, status: resp.StatusCode, kind: kind, body: body}.want(http.StatusOK)
		return nil, cmp.Or(err, fmt.Errorf("what answers at %s is no slotsync", c.addr))
	}
	return resp, nil
}
