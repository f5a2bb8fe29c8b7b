package haproxy

import (
	"errors"
	"fmt"
)

// minLine is the length of a line below which it is not shortened any more: HAProxy needs
// a larger tune.bufsize for itself.
const minLine = 512

// A tooBigError says that HAProxy has refused a line for its length, and so has executed
// nothing of it.
type tooBigError struct{ bytes int }

func (e *tooBigError) Error() string {
	return fmt.Sprintf("HAProxy refuses lines of %d bytes: set tune.bufsize to 16384 or more", e.bytes)
}

func isTooBig(err error) bool {
	_, ok := errors.AsType[*tooBigError](err)
	return ok
}

// lineLimit is how many bytes the lines to the process that answered last may have.
func (c *Client) lineLimit() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.line == 0 {
		return maxLine
	}
	return c.line
}

// shorten makes the lines to this process shorter if err says that one was too long, and
// reports whether it is to be tried again.
func (c *Client) shorten(err error) bool {
	e, ok := errors.AsType[*tooBigError](err)
	if !ok {
		return false
	}
	limit := min(c.lineLimit(), e.bytes) / 2
	if limit < minLine {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line = limit
	return true
}
