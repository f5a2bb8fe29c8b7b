package consultest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/hashicorp/consul/api"
)

// An Option adds to a registration.
type Option func(*api.AgentServiceRegistration)

// Tags gives the instance tags.
func Tags(tags ...string) Option {
	return func(r *api.AgentServiceRegistration) { r.Tags = tags }
}

// Meta gives the instance metadata.
func Meta(meta map[string]string) Option {
	return func(r *api.AgentServiceRegistration) { r.Meta = meta }
}

// TaggedAddress gives the instance an address and a port under a tag, as in wan.
func TaggedAddress(tag, addr string, port int) Option {
	return func(r *api.AgentServiceRegistration) {
		if r.TaggedAddresses == nil {
			r.TaggedAddresses = map[string]api.ServiceAddress{}
		}
		r.TaggedAddresses[tag] = api.ServiceAddress{Address: addr, Port: port}
	}
}

// Weights gives the instance weights.
func Weights(passing, warning int) Option {
	return func(r *api.AgentServiceRegistration) {
		r.Weights = &api.AgentWeights{Passing: passing, Warning: warning}
	}
}

// TTL gives the instance a check that [Server.SetCheck] sets; it begins as
// status: api.HealthPassing, api.HealthWarning or api.HealthCritical.
func TTL(status string) Option {
	return func(r *api.AgentServiceRegistration) {
		r.Check = &api.AgentServiceCheck{CheckID: checkID(r.ID), TTL: "1h", Status: status}
	}
}

func checkID(id string) string { return "ttl:" + id }

// Register registers an instance with the agent, or replaces the one of that
// id. Without [TTL] it has no check of its own and is passing.
func (s *Server) Register(service, id, addr string, port int, opts ...Option) {
	s.tb.Helper()
	r := &api.AgentServiceRegistration{Name: service, ID: id, Address: addr, Port: port}
	for _, o := range opts {
		o(r)
	}
	s.put("/v1/agent/service/register", r)
}

// Deregister takes the instance of that id away.
func (s *Server) Deregister(id string) {
	s.tb.Helper()
	s.put("/v1/agent/service/deregister/"+url.PathEscape(id), nil)
}

// SetCheck sets the check that [TTL] gave to an instance.
func (s *Server) SetCheck(id, status string) {
	s.tb.Helper()
	s.put("/v1/agent/check/update/"+url.PathEscape(checkID(id)), map[string]string{"Status": status})
}

// Maintenance takes the instance of that id into maintenance, or out of it.
func (s *Server) Maintenance(id string, on bool) {
	s.tb.Helper()
	s.put(fmt.Sprintf("/v1/agent/service/maintenance/%s?enable=%t&reason=test", url.PathEscape(id), on), nil)
}

// NodeMaintenance takes the node, and so all instances, into maintenance, or out
// of it.
func (s *Server) NodeMaintenance(on bool) {
	s.tb.Helper()
	s.put(fmt.Sprintf("/v1/agent/maintenance?enable=%t&reason=test", on), nil)
}

// NewToken returns a token with these rules, as in `service_prefix "" {policy =
// "read"}`; for servers of [StartACL].
func (s *Server) NewToken(rules string) string {
	s.tb.Helper()
	var policy, token struct{ ID, SecretID string }
	name := fmt.Sprintf("policy-%d", s.policies.Add(1))
	s.decode(s.put("/v1/acl/policy", map[string]string{"Name": name, "Rules": rules}), &policy)
	s.decode(s.put("/v1/acl/token", map[string]any{"Policies": []map[string]string{{"ID": policy.ID}}}), &token)
	return token.SecretID
}

// RevokeToken deletes a token of [Server.NewToken].
func (s *Server) RevokeToken(secret string) {
	s.tb.Helper()
	var self struct{ AccessorID string }
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.URL()+"/v1/acl/token/self", nil)
	if err != nil {
		s.tb.Fatal(err)
	}
	body, err := s.do(req, secret)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.decode(body, &self)
	if _, err := s.call(context.Background(), http.MethodDelete, "/v1/acl/token/"+self.AccessorID, nil); err != nil {
		s.tb.Fatal(err)
	}
}

func (s *Server) decode(raw []byte, into any) {
	s.tb.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		s.tb.Fatal(err)
	}
}

func (s *Server) put(path string, body any) []byte {
	s.tb.Helper()
	raw, err := s.call(context.Background(), http.MethodPut, path, body)
	if err != nil {
		s.tb.Fatal(err)
	}
	return raw
}

func (s *Server) call(ctx context.Context, method, path string, body any) ([]byte, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	if body == nil {
		raw = nil
	}
	req, err := http.NewRequestWithContext(ctx, method, s.URL()+path, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	return s.do(req, s.token)
}

func (s *Server) do(req *http.Request, token string) ([]byte, error) {
	if token != "" {
		req.Header.Set("X-Consul-Token", token)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", req.Method, req.URL.Path, resp.Status, strings.TrimSpace(string(raw)))
	}
	return raw, err
}
