package consultest

import (
	"context"
	"net/http"
)

// Outside is the name of the node that [Server.Put] uses.
const Outside = "outside"

// A Registration is an instance without checks on a node without an agent, which
// stays until it is taken away.
type Registration struct {
	Service, ID, Addr string
	Port              int
	Gone              bool // it is taken away instead
}

// operations is what Consul takes in one transaction.
const operations = 64

// Put registers regs in the catalogue, or takes those away that are Gone, in
// transactions of at most 63 in turn: it is the way to have hundreds soon.
// Unlike the other methods it returns errors, for tests in which the server is
// not always there; then all, some or none of regs are registered.
func (s *Server) Put(ctx context.Context, regs ...Registration) error {
	node := map[string]any{"Node": map[string]any{"Verb": "set", "Node": map[string]any{"Node": Outside, "Address": "192.0.2.1"}}}
	for len(regs) > 0 {
		n := min(len(regs), operations-1)
		body := []any{node}
		for _, r := range regs[:n] {
			body = append(body, r.operation())
		}
		if _, err := s.call(ctx, http.MethodPut, "/v1/txn", body); err != nil {
			return err
		}
		regs = regs[n:]
	}
	return nil
}

func (r Registration) operation() any {
	verb := "set"
	if r.Gone {
		verb = "delete"
	}
	service := map[string]any{"ID": r.ID, "Service": r.Service, "Address": r.Addr, "Port": r.Port}
	return map[string]any{"Service": map[string]any{"Verb": verb, "Node": Outside, "Service": service}}
}
