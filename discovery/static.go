package discovery

import (
	"context"
	"fmt"
)

type static struct {
	reading  Reading
	returned bool
}

// Static returns a source whose endpoints are eps for ever. The first Next
// returns them, later ones block until ctx is done. Endpoints that [Check]
// refuses are in the reading's Rejected.
func Static(eps []Endpoint) Source {
	var r Reading
	part := Part{}
	for _, e := range eps {
		if reason := Check(e.Addr); reason != "" {
			r.Rejected = append(r.Rejected, Rejection{Reason: reason, Name: Printable(e.Name, 100), Value: Printable(e.Addr.String(), 100)})
			continue
		}
		part.Endpoints = append(part.Endpoints, e)
	}
	if len(part.Endpoints) == 0 && len(r.Rejected) > 0 {
		part.State, part.Why = Partial, "every endpoint is refused"
	}
	part.Endpoints = Normalize(part.Endpoints)
	r.Parts = []Part{part}
	r.Note = "configured"
	return &static{reading: r}
}

// Next implements [Source].
func (s *static) Next(ctx context.Context) (Reading, error) {
	if s.returned {
		<-ctx.Done()
		return Reading{}, ctx.Err()
	}
	s.returned = true
	return s.reading, ctx.Err()
}

// Confirm implements [Source].
func (s *static) Confirm(ctx context.Context) (Reading, error) { return s.reading, ctx.Err() }

// String implements [Source].
func (s *static) String() string {
	if len(s.reading.Parts[0].Endpoints) == 1 {
		return "1 configured endpoint"
	}
	return fmt.Sprintf("%d configured endpoints", len(s.reading.Parts[0].Endpoints))
}
