package web

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web/answer"
	"github.com/slotsync/slotsync/agent/web/auth"
)

// Operators is what operators can ask of endpoints. See agent.Agent for the errors.
type Operators interface {
	SetState(ctx context.Context, backend, server, state string, who api.Who) (api.ServerRef, error)
	SetAddressState(ctx context.Context, ip netip.Addr, state string, who api.Who) ([]api.ServerRef, error)
	SetAddressWeight(ctx context.Context, ip netip.Addr, weight string, who api.Who) ([]api.ServerRef, error)
	SetWeight(ctx context.Context, backend, server, weight string, who api.Who) (api.ServerRef, error)
	AddServer(ctx context.Context, backend string, addr netip.AddrPort, name, weight string, who api.Who) (api.ServerRef, error)
	RemoveServer(ctx context.Context, backend, server string) (api.ServerRef, error)
	ShutSessions(ctx context.Context, backend, server string) (api.ServerRef, error)
	Pause(ctx context.Context, backend string, hard bool, who api.Who) (api.Pause, error)
	Resume(ctx context.Context, backend string) error
}

// operatorRoutes are those that do something to endpoints. To add one sends traffic
// to any address there is, so it is not for everybody.
func (s *Server) operatorRoutes() []Route {
	const servers, addresses = "/v1/backends/{backend}/servers", "/v1/addresses"
	const which, all = "Which endpoint that is, and its slot", "The endpoints that have it"
	notStored := []int{400, 404, 409, 502, 503, 504}
	fails := append(notStored, 507)
	drain := api.StateBody{State: api.StateDrain, WhoBody: api.WhoBody{For: "10m"}}
	weight, pause := api.WeightBody{Weight: "20%"}, api.PauseBody{Backend: "web", WhoBody: api.WhoBody{For: "1h"}}
	return []Route{
		{"GET", servers, s.servers, auth.Read, Operation{ID: "servers", Summary: "The endpoints of a backend",
			Answer: []api.ServerRow{}, Says: "Those without a slot last", Fails: []int{404, 503}}},
		{"POST", servers, s.addServer, auth.Full, Operation{ID: "addServer", Summary: "Add an endpoint that no source lists",
			Body: api.ServerBody{Address: "10.0.0.1:80"}, Answer: api.ServerRef{}, Says: which, Fails: fails}},
		{"DELETE", servers + "/{server}", s.removeServer, auth.Full, Operation{ID: "removeServer", Summary: "Remove an endpoint that was added",
			Description: "One that a source lists is not removed (409): drain it.",
			Body:        api.WhoBody{}, BodyOptional: true, Answer: api.ServerRef{}, Says: which, Fails: fails}},
		{"PUT", servers + "/{server}/state", s.setState, auth.Operate, Operation{ID: "setState", Summary: "Drain an endpoint, stop it, or end that",
			Body: drain, Answer: api.ServerRef{}, Says: which, Fails: fails}},
		{"PUT", servers + "/{server}/weight", s.setWeight, auth.Operate, Operation{ID: "setWeight", Summary: "Give an endpoint another weight",
			Body: weight, Answer: api.ServerRef{}, Says: which, Fails: fails}},
		{"POST", servers + "/{server}/shutdown-sessions", s.shutSessions, auth.Full, Operation{ID: "shutSessions", Summary: "End the sessions of an endpoint on all instances",
			Body: api.WhoBody{}, BodyOptional: true, Answer: api.ServerRef{}, Says: which, Fails: notStored}},
		{"GET", addresses, s.addresses, auth.Read, Operation{ID: "addresses", Summary: "Every address, and where it is",
			Answer: []api.AddressRow{}, Says: "By address", Fails: []int{503}}},
		{"PUT", addresses + "/{ip}/state", s.setAddressState, auth.Operate, Operation{ID: "setAddressState", Summary: "Drain an address on all backends, stop it, or end that",
			Body: drain, Answer: []api.ServerRef{}, Says: all, Fails: fails}},
		{"PUT", addresses + "/{ip}/weight", s.setAddressWeight, auth.Operate, Operation{ID: "setAddressWeight", Summary: "Give an address another weight on all backends",
			Body: weight, Answer: []api.ServerRef{}, Says: all, Fails: fails}},
		{"POST", "/v1/pause", s.pause, auth.Operate, Operation{ID: "pause", Summary: "Stop writing",
			Body: pause, BodyOptional: true, Answer: api.Pause{}, Says: "Until when", Fails: fails}},
		{"POST", "/v1/resume", s.resume, auth.Operate, Operation{ID: "resume", Summary: "Go on writing",
			Body: api.PauseBody{Backend: "web"}, BodyOptional: true, Answer: struct{}{}, Says: "Nothing", Fails: fails}},
	}
}

// serverRows lists the endpoints of a backend, those without a slot last.
func serverRows(b api.BackendStatus) []api.ServerRow {
	rows := []api.ServerRow{}
	for _, slot := range b.Slots {
		if slot.Endpoint == "" {
			continue
		}
		rows = append(rows, api.ServerRow{ServerRef: api.ServerRef{Backend: b.Name, Endpoint: slot.Endpoint, Slot: slot.Name},
			Name: slot.Title, State: slot.State, Override: slot.Override, Instances: slot.Instances})
	}
	for _, e := range b.Overflow {
		rows = append(rows, api.ServerRow{ServerRef: api.ServerRef{Backend: b.Name, Endpoint: e.Addr.String()},
			Name: e.Name, State: "overflow", Instances: []api.InstanceSlot{}})
	}
	return rows
}

func (s *Server) servers(w http.ResponseWriter, r *http.Request) {
	status, ok := s.known(w)
	if !ok {
		return
	}
	name := r.PathValue("backend")
	for _, b := range status.Backends {
		if b.Name == name {
			answer.JSON(w, serverRows(b))
			return
		}
	}
	answer.Problem(w, http.StatusNotFound, api.ErrNoBackend.Error()+": "+api.Sanitize(name))
}

func (s *Server) addresses(w http.ResponseWriter, _ *http.Request) {
	status, ok := s.known(w)
	if !ok {
		return
	}
	rows := map[netip.Addr]*api.AddressRow{}
	for _, b := range status.Backends {
		for _, row := range serverRows(b) {
			at, err := netip.ParseAddrPort(row.Endpoint)
			if err != nil {
				continue
			}
			if rows[at.Addr()] == nil {
				rows[at.Addr()] = &api.AddressRow{Address: at.Addr().String()}
			}
			rows[at.Addr()].Servers = append(rows[at.Addr()].Servers, row)
		}
	}
	out := []api.AddressRow{}
	for _, row := range rows {
		out = append(out, *row)
	}
	slices.SortFunc(out, func(a, b api.AddressRow) int { return strings.Compare(a.Address, b.Address) })
	answer.JSON(w, out)
}

// handleJSON reads the body of a request and answers with what do returns.
func handleJSON[B any, A any](w http.ResponseWriter, r *http.Request, who func(B) api.WhoBody, do func(context.Context, B, api.Who) (A, error)) {
	var body B
	err := readJSON(r, &body)
	by, failed := auth.CallerOf(r).Who(who(body))
	if err == nil {
		err = failed
	}
	if err != nil {
		answer.Problem(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := withDeadline(r)
	defer cancel()
	a, err := do(ctx, body, by)
	answer.Result(w, a, err, http.StatusBadGateway)
}

func (s *Server) setState(w http.ResponseWriter, r *http.Request) {
	handleJSON(w, r, func(b api.StateBody) api.WhoBody { return b.WhoBody }, func(ctx context.Context, b api.StateBody, who api.Who) (api.ServerRef, error) {
		return s.o.Agent.SetState(ctx, r.PathValue("backend"), r.PathValue("server"), b.State, who)
	})
}

func (s *Server) setAddressState(w http.ResponseWriter, r *http.Request) {
	ip, err := netip.ParseAddr(r.PathValue("ip"))
	if err != nil {
		answer.Problem(w, http.StatusBadRequest, api.Sanitize(r.PathValue("ip"))+" is no address")
		return
	}
	handleJSON(w, r, func(b api.StateBody) api.WhoBody { return b.WhoBody }, func(ctx context.Context, b api.StateBody, who api.Who) ([]api.ServerRef, error) {
		return s.o.Agent.SetAddressState(ctx, ip, b.State, who)
	})
}

func (s *Server) setAddressWeight(w http.ResponseWriter, r *http.Request) {
	ip, err := netip.ParseAddr(r.PathValue("ip"))
	if err != nil {
		answer.Problem(w, http.StatusBadRequest, api.Sanitize(r.PathValue("ip"))+" is no address")
		return
	}
	handleJSON(w, r, func(b weightBody) api.WhoBody { return b.WhoBody }, func(ctx context.Context, b weightBody, who api.Who) ([]api.ServerRef, error) {
		if b.Weight == nil {
			return nil, errNoWeight()
		}
		return s.o.Agent.SetAddressWeight(ctx, ip, string(*b.Weight), who)
	})
}

func (s *Server) setWeight(w http.ResponseWriter, r *http.Request) {
	handleJSON(w, r, func(b weightBody) api.WhoBody { return b.WhoBody }, func(ctx context.Context, b weightBody, who api.Who) (api.ServerRef, error) {
		if b.Weight == nil {
			return api.ServerRef{}, errNoWeight()
		}
		return s.o.Agent.SetWeight(ctx, r.PathValue("backend"), r.PathValue("server"), string(*b.Weight), who)
	})
}

func (s *Server) addServer(w http.ResponseWriter, r *http.Request) {
	handleJSON(w, r, func(b api.ServerBody) api.WhoBody { return b.WhoBody }, func(ctx context.Context, b api.ServerBody, who api.Who) (api.ServerRef, error) {
		at, err := netip.ParseAddrPort(b.Address)
		if err != nil {
			return api.ServerRef{}, badAddress(b.Address)
		}
		return s.o.Agent.AddServer(ctx, r.PathValue("backend"), at, b.Name, string(b.Weight), who)
	})
}

func (s *Server) removeServer(w http.ResponseWriter, r *http.Request) {
	handleJSON(w, r, func(b api.WhoBody) api.WhoBody { return b }, func(ctx context.Context, _ api.WhoBody, _ api.Who) (api.ServerRef, error) {
		return s.o.Agent.RemoveServer(ctx, r.PathValue("backend"), r.PathValue("server"))
	})
}

func (s *Server) shutSessions(w http.ResponseWriter, r *http.Request) {
	handleJSON(w, r, func(b api.WhoBody) api.WhoBody { return b }, func(ctx context.Context, _ api.WhoBody, _ api.Who) (api.ServerRef, error) {
		return s.o.Agent.ShutSessions(ctx, r.PathValue("backend"), r.PathValue("server"))
	})
}

func (s *Server) pause(w http.ResponseWriter, r *http.Request) {
	handleJSON(w, r, func(b api.PauseBody) api.WhoBody { return b.WhoBody }, func(ctx context.Context, b api.PauseBody, who api.Who) (api.Pause, error) {
		return s.o.Agent.Pause(ctx, b.Backend, b.Hard, who)
	})
}

func (s *Server) resume(w http.ResponseWriter, r *http.Request) {
	handleJSON(w, r, func(b api.PauseBody) api.WhoBody { return b.WhoBody }, func(ctx context.Context, b api.PauseBody, _ api.Who) (struct{}, error) {
		return struct{}{}, s.o.Agent.Resume(ctx, b.Backend)
	})
}
