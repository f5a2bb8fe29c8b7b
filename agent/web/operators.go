package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web/auth"
)

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
		{"GET", servers, answered(api.ChangeTimeout, http.StatusInternalServerError, s.servers), auth.Read, Operation{ID: "servers", Summary: "The endpoints of a backend",
			Answer: []api.ServerRow{}, Says: "Those without a slot last", Fails: []int{404, 503}}},
		{"POST", servers, changed(s.addServer), auth.Full, Operation{ID: "addServer", Summary: "Add an endpoint that no source lists",
			Body: api.ServerBody{Address: "10.0.0.1:80"}, Answer: api.ServerRef{}, Says: which, Fails: fails}},
		{"DELETE", servers + "/{server}", changed(s.removeServer), auth.Full, Operation{ID: "removeServer", Summary: "Remove an endpoint that was added",
			Description: "One that a source lists is not removed (409): drain it.",
			Body:        api.WhoBody{}, BodyOptional: true, Answer: api.ServerRef{}, Says: which, Fails: fails}},
		{"PUT", servers + "/{server}/state", changed(s.setState), auth.Operate, Operation{ID: "setState", Summary: "Drain an endpoint, stop it, or end that",
			Body: drain, Answer: api.ServerRef{}, Says: which, Fails: fails}},
		{"PUT", servers + "/{server}/weight", changed(s.setWeight), auth.Operate, Operation{ID: "setWeight", Summary: "Give an endpoint another weight",
			Body: weight, Answer: api.ServerRef{}, Says: which, Fails: fails}},
		{"POST", servers + "/{server}/shutdown-sessions", changed(s.shutSessions), auth.Full, Operation{ID: "shutSessions", Summary: "End the sessions of an endpoint on all instances",
			Body: api.WhoBody{}, BodyOptional: true, Answer: api.ServerRef{}, Says: which, Fails: notStored}},
		{"GET", addresses, answered(api.ChangeTimeout, http.StatusInternalServerError, s.addresses), auth.Read, Operation{ID: "addresses", Summary: "Every address, and where it is",
			Answer: []api.AddressRow{}, Says: "By address", Fails: []int{503}}},
		{"PUT", addresses + "/{ip}/state", changed(s.setAddressState), auth.Operate, Operation{ID: "setAddressState", Summary: "Drain an address on all backends, stop it, or end that",
			Body: drain, Answer: []api.ServerRef{}, Says: all, Fails: fails}},
		{"PUT", addresses + "/{ip}/weight", changed(s.setAddressWeight), auth.Operate, Operation{ID: "setAddressWeight", Summary: "Give an address another weight on all backends",
			Body: weight, Answer: []api.ServerRef{}, Says: all, Fails: fails}},
		{"POST", "/v1/pause", changed(s.pause), auth.Operate, Operation{ID: "pause", Summary: "Stop writing",
			Body: pause, BodyOptional: true, Answer: api.Pause{}, Says: "Until when", Fails: fails}},
		{"POST", "/v1/resume", changed(s.resume), auth.Operate, Operation{ID: "resume", Summary: "Go on writing",
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

func (s *Server) servers(_ context.Context, r *http.Request) ([]api.ServerRow, error) {
	status, err := s.known()
	if err != nil {
		return nil, err
	}
	name := r.PathValue("backend")
	for _, b := range status.Backends {
		if b.Name == name {
			return serverRows(b), nil
		}
	}
	return nil, fmt.Errorf("%w: %s", api.ErrNoBackend, api.Sanitize(name))
}

func (s *Server) addresses(context.Context, *http.Request) ([]api.AddressRow, error) {
	status, err := s.known()
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
	return out, err
}

func (s *Server) setState(ctx context.Context, r *http.Request, b api.StateBody, who api.Who) (api.ServerRef, error) {
	return s.o.Agent.SetState(ctx, r.PathValue("backend"), r.PathValue("server"), b.State, who)
}

func (s *Server) setAddressState(ctx context.Context, r *http.Request, b api.StateBody, who api.Who) ([]api.ServerRef, error) {
	ip, err := addressIn(r)
	if err != nil {
		return nil, err
	}
	return s.o.Agent.SetAddressState(ctx, ip, b.State, who)
}

func (s *Server) setAddressWeight(ctx context.Context, r *http.Request, b weightBody, who api.Who) ([]api.ServerRef, error) {
	ip, err := addressIn(r)
	if err != nil {
		return nil, err
	}
	weight, err := b.weight()
	if err != nil {
		return nil, err
	}
	return s.o.Agent.SetAddressWeight(ctx, ip, weight, who)
}

func addressIn(r *http.Request) (netip.Addr, error) {
	ip, err := netip.ParseAddr(r.PathValue("ip"))
	if err != nil {
		err = bad(errors.New(api.Sanitize(r.PathValue("ip")) + " is no address"))
	}
	return ip, err
}

func (s *Server) setWeight(ctx context.Context, r *http.Request, b weightBody, who api.Who) (api.ServerRef, error) {
	weight, err := b.weight()
	if err != nil {
		return api.ServerRef{}, err
	}
	return s.o.Agent.SetWeight(ctx, r.PathValue("backend"), r.PathValue("server"), weight, who)
}

// A weightBody is an [api.WeightBody] as it came: to say no weight is not to say "".
type weightBody struct {
	Weight *api.Weight `json:"weight"`
	api.WhoBody
}

func (b weightBody) weight() (string, error) {
	if b.Weight == nil {
		return "", fmt.Errorf(`%w: weight is missing: a number, a text as in "20%%", or "" for what its source says`, api.ErrBadRequest)
	}
	return string(*b.Weight), nil
}

func (s *Server) addServer(ctx context.Context, r *http.Request, b api.ServerBody, who api.Who) (api.ServerRef, error) {
	at, err := netip.ParseAddrPort(b.Address)
	if err != nil {
		return api.ServerRef{}, fmt.Errorf("%w: %q is not ip:port, as in 10.0.0.1:80 or [fd00::1]:80", api.ErrBadRequest, api.Sanitize(b.Address))
	}
	return s.o.Agent.AddServer(ctx, r.PathValue("backend"), at, b.Name, string(b.Weight), who)
}

func (s *Server) removeServer(ctx context.Context, r *http.Request, _ api.WhoBody, _ api.Who) (api.ServerRef, error) {
	return s.o.Agent.RemoveServer(ctx, r.PathValue("backend"), r.PathValue("server"))
}

func (s *Server) shutSessions(ctx context.Context, r *http.Request, _ api.WhoBody, _ api.Who) (api.ServerRef, error) {
	return s.o.Agent.ShutSessions(ctx, r.PathValue("backend"), r.PathValue("server"))
}

func (s *Server) pause(ctx context.Context, _ *http.Request, b api.PauseBody, who api.Who) (api.Pause, error) {
	return s.o.Agent.Pause(ctx, b.Backend, b.Hard, who)
}

func (s *Server) resume(ctx context.Context, _ *http.Request, b api.PauseBody, _ api.Who) (struct{}, error) {
	return struct{}{}, s.o.Agent.Resume(ctx, b.Backend)
}
