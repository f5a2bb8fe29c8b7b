package longpoll

import (
	"bytes"
	"context"
	"fmt"
	"io"
)

const (
	// MaxBody bounds a list of instances, in bytes.
	MaxBody = 32 << 20
	// A body beyond smallBody needs one of middlePlaces to be read on, and one beyond
	// middleBody one of largePlaces besides: as many bodies as there may be connections, of
	// any size, would be more than a process may have.
	smallBody, middleBody     = 64 << 10, 4 << 20
	middlePlaces, largePlaces = 8, 2
)

// bodies are those that a client is reading or has in memory.
type bodies struct{ middle, large chan struct{} }

func newBodies() bodies {
	return bodies{make(chan struct{}, middlePlaces), make(chan struct{}, largePlaces)}
}

// ReadBody reads a body to its end, which lets the connection be used again, and has decode
// read it. A large one waits until others are decoded; one beyond MaxBody is an error.
func (c *Client) ReadBody(ctx context.Context, body io.Reader, decode func(raw []byte) error) error {
	return c.bodies.read(ctx, body, decode)
}

func (b bodies) read(ctx context.Context, body io.Reader, decode func(raw []byte) error) error {
	var raw bytes.Buffer
	for _, step := range []struct {
		most   int
		places chan struct{} // nil: it takes none
	}{{smallBody, nil}, {middleBody, b.middle}, {MaxBody, b.large}} {
		if step.places != nil {
			select {
			case step.places <- struct{}{}:
				defer func() { <-step.places }()
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if _, err := raw.ReadFrom(io.LimitReader(body, int64(step.most-raw.Len())+1)); err != nil {
			return err
		}
		if raw.Len() <= step.most {
			return decode(raw.Bytes())
		}
	}
	return fmt.Errorf("it is larger than %d bytes", MaxBody)
}
