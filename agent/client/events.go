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
	// maxKept is how many events an agent keeps at most.
	maxKept = 1000
	// maxEventLine bounds one line of what a client reads, in bytes.
	maxEventLine = 1 << 20
)

// ErrEnded is the end of an answer that is whole, as the agent makes it after an hour.
var ErrEnded = errors.New("the agent has ended the answer")

var errSilent = errors.New("nothing came for too long")

// Events yields what changes after the event with that ID, 0 for from now on. It ends
// with an error, or when ctx does. The agent ends it after an hour, and when it stops, which is
// [ErrEnded]. Then it can be called again with the last ID: if events are missing by then, the
// first is of kind [api.EventGap].
func (c *Client) Events(ctx context.Context, after uint64) iter.Seq2[api.Event, error] {
	return func(yield func(api.Event, error) bool) {
		last := ""
		if after > 0 {
			last = strconv.FormatUint(after, 10)
		}
		err := c.readEvents(ctx, "/v1/events", last, func(e api.Event) bool { return yield(e, nil) })
		if err != nil && ctx.Err() == nil {
			yield(api.Event{}, err)
		}
	}
}

// Follow shows what comes after the event with that ID, 0 for from now on, until ctx is done
// or show fails, whose error it returns. An agent that does not answer, or ends it, is asked
// again after a pause; lost, which may be nil, is told of what is no [ErrEnded], once until an
// event comes.
func (c *Client) Follow(ctx context.Context, after uint64, pause time.Duration, show func(api.Event) error, lost func(error)) error {
	told := false
	for ctx.Err() == nil {
		for e, err := range c.Events(ctx, after) {
			if err != nil {
				if errors.Is(err, ErrEnded) {
					break
				}
				if !told && lost != nil {
					lost(err)
				}
				told = true
				break
			}
			told, after = false, max(after, e.ID)
			if err := show(e); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

// KeptEvents returns the last events, at most 1000, and the ID to go on after with
// [Client.Events].
func (c *Client) KeptEvents(ctx context.Context) (list []api.Event, last uint64, err error) {
	err = c.readEvents(ctx, "/v1/events?follow=false", "0", func(e api.Event) bool {
		if len(list) == maxKept {
			return false
		}
		last = e.ID
		if e.Kind != api.EventGap { // there is one before the first that is kept
			list = append(list, e)
		}
		return true
	})
	if err == nil || errors.Is(err, ErrEnded) {
		return list, last, nil
	}
	return nil, 0, err
}

// readEvents takes events until take has enough, or the agent ends it, which is
// ErrEnded. after is the last ID that is known, "" for none.
func (c *Client) readEvents(ctx context.Context, path, after string, take func(api.Event) bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer idle.Stop()
	resp, err := c.openEvents(ctx, path, after)
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
	if err := cmp.Or(context.Cause(ctx), lines.Err()); err != nil {
		return c.unreachable(err)
	}
	return ErrEnded
}

func (c *Client) openEvents(ctx context.Context, path, after string) (*http.Response, error) {
	req, err := c.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
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
