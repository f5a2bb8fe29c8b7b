package discovery_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/slotsync/slotsync/discovery"
)

func drawPart(t *rapid.T) discovery.Part {
	p := discovery.Part{
		Name:   rapid.StringMatching(`[a-z]{1,6}`).Draw(t, "name"),
		Parent: rapid.SampledFrom([]string{"", "p"}).Draw(t, "parent"),
		State:  discovery.Completeness(rapid.IntRange(0, 2).Draw(t, "state")),
	}
	switch p.State {
	case discovery.Unknown:
		p.Err = discovery.Errorf(discovery.Server, "no")
		return p
	case discovery.Partial:
		p.Why = "cut"
	}
	p.Endpoints = rapid.SliceOfN(rapid.Custom(drawEndpoint), 0, 5).Draw(t, "endpoints")
	return p
}

func drawReading(t *rapid.T) discovery.Reading {
	return discovery.Reading{
		Parts: rapid.SliceOfNDistinct(rapid.Custom(drawPart), 1, 6, func(p discovery.Part) string { return p.Name }).Draw(t, "parts"),
		Rejected: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) discovery.Rejection {
			return discovery.Rejection{Reason: discovery.BadPort, Name: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name")}
		}), 0, 4).Draw(t, "rejected"),
	}
}

// shuffled says the same as r in another order.
func shuffled(t *rapid.T, r discovery.Reading) discovery.Reading {
	r.Parts = rapid.Permutation(slices.Clone(r.Parts)).Draw(t, "parts in another order")
	for i := range r.Parts {
		if len(r.Parts[i].Endpoints) > 0 {
			r.Parts[i].Endpoints = rapid.Permutation(r.Parts[i].Endpoints).Draw(t, "endpoints in another order")
		}
	}
	if len(r.Rejected) > 0 {
		r.Rejected = rapid.Permutation(r.Rejected).Draw(t, "rejections in another order")
	}
	return r
}

// Order says nothing, and nothing else is lost.
func TestNormalizedForgetsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawReading(t)
		before := drawCopy(r)
		n := r.Normalized()
		if !slices.EqualFunc(before.Parts, r.Parts, samePart) || !slices.Equal(before.Rejected, r.Rejected) {
			t.Fatal("it wrote to what it was called on")
		}
		if !n.Equal(shuffled(t, r).Normalized()) || !n.Equal(n.Normalized()) {
			t.Fatalf("%+v in another order is another reading", r)
		}
		if !slices.IsSortedFunc(n.Parts, func(a, b discovery.Part) int { return strings.Compare(a.Name, b.Name) }) {
			t.Fatalf("not sorted: %+v", n.Parts)
		}
		if !slices.Equal(n.Endpoints(), r.Endpoints()) || n.Whole() != r.Whole() || len(n.Gaps()) != len(r.Gaps()) || len(n.Rejected) != len(r.Rejected) {
			t.Fatalf("%+v became %+v", r, n)
		}
		for _, p := range n.Parts {
			i := slices.IndexFunc(r.Parts, func(q discovery.Part) bool { return q.Name == p.Name })
			q := r.Parts[i]
			if p.Parent != q.Parent || p.State != q.State || p.Err != q.Err || p.Why != q.Why ||
				!slices.Equal(p.Endpoints, discovery.Normalize(q.Endpoints)) {
				t.Fatalf("part %+v became %+v", q, p)
			}
		}
	})
}

func drawCopy(r discovery.Reading) discovery.Reading {
	r.Parts = slices.Clone(r.Parts)
	for i := range r.Parts {
		r.Parts[i].Endpoints = slices.Clone(r.Parts[i].Endpoints)
	}
	r.Rejected = slices.Clone(r.Rejected)
	return r
}

func samePart(a, b discovery.Part) bool {
	return a.Name == b.Name && a.Parent == b.Parent && a.State == b.State && a.Err == b.Err && a.Why == b.Why && slices.Equal(a.Endpoints, b.Endpoints)
}

// Each of what a reading says is part of what makes two readings the same, and why
// something is not known is not.
func TestEqual(t *testing.T) {
	base := func() discovery.Reading {
		return discovery.Reading{
			Parts: []discovery.Part{
				{Name: "A", Endpoints: endpoints(1, 2)},
				{Name: "t", Parent: "A", State: discovery.Unknown, Err: discovery.Errorf(discovery.Server, "no")},
			},
			Rejected: []discovery.Rejection{{Reason: discovery.BadPort, Name: "x"}}, Note: "index 1",
		}
	}
	for name, test := range map[string]struct {
		change func(*discovery.Reading)
		equal  bool
	}{
		"nothing":              {func(*discovery.Reading) {}, true},
		"the note":             {func(r *discovery.Reading) { r.Note = "index 2" }, true},
		"the error":            {func(r *discovery.Reading) { r.Parts[1].Err = discovery.Errorf(discovery.Transport, "gone") }, true},
		"the reason":           {func(r *discovery.Reading) { r.Parts[0].Why = "index 2" }, true},
		"a state":              {func(r *discovery.Reading) { r.Parts[0].State = discovery.Partial }, false},
		"an endpoint":          {func(r *discovery.Reading) { r.Parts[0].Endpoints = endpoints(1, 3) }, false},
		"a weight":             {func(r *discovery.Reading) { r.Parts[0].Endpoints[0].Weight = 5 }, false},
		"an endpoint's reason": {func(r *discovery.Reading) { r.Parts[0].Endpoints[0].Reason = "warning" }, false},
		"a name":               {func(r *discovery.Reading) { r.Parts[1].Name = "u" }, false},
		"a parent":             {func(r *discovery.Reading) { r.Parts[1].Parent = "" }, false},
		"a part that goes":     {func(r *discovery.Reading) { r.Parts = r.Parts[:1] }, false},
		"a rejection":          {func(r *discovery.Reading) { r.Rejected = nil }, false},
		"an endpoint that moves": {func(r *discovery.Reading) {
			r.Parts[0].Endpoints = endpoints(1)
			r.Parts[1] = discovery.Part{Name: "t", Parent: "A", State: discovery.Unknown, Endpoints: endpoints(2)}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			other := base()
			test.change(&other)
			if got := base().Equal(other); got != test.equal || other.Equal(base()) != got {
				t.Errorf("equal is %t", got)
			}
		})
	}
	if !(discovery.Reading{}).Equal(discovery.Reading{}) || (discovery.Reading{}).Equal(base()) {
		t.Error("no parts are something")
	}
}

// What two parts name is one endpoint: the most usable of both.
func TestEndpointsOfParts(t *testing.T) {
	drained := endpoint(2)
	drained.State = discovery.Drain
	r := discovery.Reading{Parts: []discovery.Part{
		{Name: "b", Endpoints: []discovery.Endpoint{endpoint(3), drained}},
		{Name: "a", State: discovery.Partial, Endpoints: endpoints(2, 1)},
		{Name: "c", State: discovery.Unknown},
	}}
	if got := r.Endpoints(); !slices.Equal(got, endpoints(1, 2, 3)) {
		t.Errorf("got %v", got)
	}
	if got := discovery.Complete(endpoint(2), endpoint(1), endpoint(2)).Endpoints(); !slices.Equal(got, endpoints(1, 2)) {
		t.Errorf("of one part: %v", got)
	}
	if got := (discovery.Reading{}).Endpoints(); len(got) != 0 {
		t.Errorf("of none: %v", got)
	}
}

func TestGaps(t *testing.T) {
	r := discovery.Reading{Parts: []discovery.Part{
		{Name: "A of web", Endpoints: endpoints(1)},
		{Name: "AAAA of web", State: discovery.Unknown, Err: discovery.Errorf(discovery.Server, "SERVFAIL from 10.0.0.1")},
		{Name: "list", State: discovery.Partial, Why: "the server knows no leader"},
	}}
	want := []string{"AAAA of web: server: SERVFAIL from 10.0.0.1", "list: the server knows no leader"}
	if got := r.Gaps(); !slices.Equal(got, want) || r.Whole() {
		t.Errorf("gaps %q, whole %t", got, r.Whole())
	}
	r.Parts = r.Parts[:1]
	if got := r.Gaps(); got != nil || !r.Whole() || r.Parts[0].Reason() != "" {
		t.Errorf("gaps %q of what is whole", got)
	}
	only := discovery.Complete()
	only.Parts[0].State, only.Parts[0].Why = discovery.Partial, "cut"
	if got := only.Gaps(); !slices.Equal(got, []string{"cut"}) {
		t.Errorf("of the only part: %q", got)
	}
}

func TestPartly(t *testing.T) {
	err := discovery.Errorf(discovery.Server, "no")
	r := discovery.Reading{Note: "index 1", Parts: []discovery.Part{
		{Name: "a", Endpoints: endpoints(1)}, {Name: "b", State: discovery.Partial, Why: "cut"}, {Name: "c", State: discovery.Unknown, Err: err},
	}}
	want := []string{"a: old", "b: cut", "c: server: no"}
	if got := r.Partly("old"); !slices.Equal(got.Gaps(), want) || got.Note != r.Note || !slices.Equal(got.Endpoints(), r.Endpoints()) {
		t.Errorf("got %+v", got)
	}
	if r.Parts[0].State != discovery.Whole || r.Parts[0].Why != "" {
		t.Error("it wrote to what it was called on")
	}
}

func TestCompletenessText(t *testing.T) {
	for c, want := range map[discovery.Completeness]string{
		discovery.Whole: "whole", discovery.Partial: "partial", discovery.Unknown: "unknown", 7: "Completeness(7)",
	} {
		if c.String() != want {
			t.Errorf("%d is %q", c, c)
		}
	}
	if (discovery.Part{}).State != discovery.Whole {
		t.Error("the zero part is not whole")
	}
}
