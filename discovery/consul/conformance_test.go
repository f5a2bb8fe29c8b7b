package consul

import (
	"cmp"
	"slices"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// A catalogue is a Consul whose one service can be changed.
type catalogue interface {
	put(id, addr string, passing, warning int, status string)
	check(id, status string)
	maintenance(id string, on bool)
	remove(id string)
}

// TestConformance runs one body over the fake and the real Consul, so that what
// is tried on the fake alone means something.
func TestConformance(t *testing.T) {
	t.Run("fake", func(t *testing.T) {
		f := consultest.NewFake(t)
		testCatalogue(t, fakeClient(t, f, Options{}), &fakeCatalogue{fake: f})
	})
	t.Run("real", func(t *testing.T) {
		s := consultest.Start(t)
		testCatalogue(t, realClient(t, s, Options{}), realCatalogue{s})
	})
}

func testCatalogue(t *testing.T, c *Client, cat catalogue) {
	s := source(t, c, Query{})
	w := discoverytest.Watch(t, s)
	n := 0
	expect := func(step string, want ...string) {
		t.Helper()
		var last discovery.Update
		last, n = w.Until(t, n, func(u discovery.Update) bool {
			return u.Err == nil && slices.Equal(describe(u.Reading), want)
		})
		if !last.Reading.Whole() || len(last.Reading.Rejected) != 0 {
			t.Errorf("%s: %+v", step, last.Reading)
		}
		confirmed, err := s.Confirm(t.Context())
		if err != nil || !slices.Equal(confirmed.Endpoints(), last.Reading.Endpoints()) || !confirmed.Whole() {
			t.Errorf("%s, confirmed: %+v %v", step, confirmed, err)
		}
	}
	expect("unknown service")
	cat.put("a", "10.0.0.1", 1, 1, api.HealthPassing)
	expect("first instance", "10.0.0.1:8080")
	cat.put("b", "10.0.0.2", 10, 3, api.HealthWarning)
	expect("an instance in warning", "10.0.0.1:8080", "10.0.0.2:8080")
	cat.put("c", "10.0.0.3", 5, 0, api.HealthWarning)
	expect("warning with weight 0", "10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080 (drain)")
	r, err := s.Confirm(t.Context())
	if err != nil || r.Endpoints()[0].Weight != 1 || r.Endpoints()[1].Weight != 3 || r.Endpoints()[2].Reason != "weight 0" {
		t.Errorf("weights: %+v %v", r, err)
	}
	cat.check("a", api.HealthCritical)
	expect("critical", "10.0.0.1:8080 (down)", "10.0.0.2:8080", "10.0.0.3:8080 (drain)")
	cat.check("a", api.HealthPassing)
	cat.maintenance("b", true)
	expect("maintenance", "10.0.0.1:8080", "10.0.0.2:8080 (drain)", "10.0.0.3:8080 (drain)")
	cat.maintenance("b", false)
	expect("no maintenance", "10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080 (drain)")
	cat.remove("a")
	expect("removed", "10.0.0.2:8080", "10.0.0.3:8080 (drain)")
	cat.remove("b")
	cat.remove("c")
	expect("all removed")
	if err := firstError(w.End()); err != nil {
		t.Errorf("an error: %v", err)
	}
}

func realClient(t *testing.T, s *consultest.Server, o Options) *Client {
	t.Helper()
	o.Address = cmp.Or(o.Address, s.URL())
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

type realCatalogue struct{ server *consultest.Server }

func (c realCatalogue) put(id, addr string, passing, warning int, status string) {
	c.server.Register("web", id, addr, 8080, consultest.Weights(passing, warning), consultest.TTL(status))
}
func (c realCatalogue) check(id, status string)        { c.server.SetCheck(id, status) }
func (c realCatalogue) maintenance(id string, on bool) { c.server.Maintenance(id, on) }
func (c realCatalogue) remove(id string)               { c.server.Deregister(id) }

type fakeCatalogue struct {
	fake      *consultest.Fake
	instances []*api.ServiceEntry
}

// change makes all instances anew, since the fake may be sending the old ones.
func (c *fakeCatalogue) change(id string, change func(*api.ServiceEntry)) {
	for i, old := range c.instances {
		if old.Service.ID == id {
			e := consultest.Instance(id, old.Service.Address, old.Service.Port)
			e.Service.Weights, e.Checks = old.Service.Weights, slices.Clone(old.Checks)
			change(e)
			c.instances[i] = e
		}
	}
	c.fake.Set("web", slices.Clone(c.instances)...)
}

func (c *fakeCatalogue) put(id, addr string, passing, warning int, status string) {
	e := consultest.Instance(id, addr, 8080)
	e.Service.Weights = api.AgentWeights{Passing: passing, Warning: warning}
	c.instances = append(c.instances, e)
	c.check(id, status)
}

func (c *fakeCatalogue) check(id, status string) {
	c.change(id, func(e *api.ServiceEntry) {
		e.Checks[1] = &api.HealthCheck{CheckID: "service:" + id, Status: status, ServiceID: id}
	})
}

func (c *fakeCatalogue) maintenance(id string, on bool) {
	c.change(id, func(e *api.ServiceEntry) {
		e.Checks = e.Checks[:2]
		if on {
			e.Checks = append(e.Checks, &api.HealthCheck{CheckID: api.ServiceMaintPrefix + id, Status: api.HealthCritical})
		}
	})
}

func (c *fakeCatalogue) remove(id string) {
	c.instances = slices.DeleteFunc(c.instances, func(e *api.ServiceEntry) bool { return e.Service.ID == id })
	c.fake.Set("web", slices.Clone(c.instances)...)
}
