package consul

import (
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul/consultest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeClient returns a client whose connections end in f.
func fakeClient(t *testing.T, f *consultest.Fake, o Options) *Client {
	t.Helper()
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	c.http.Dial = f.Dial
	t.Cleanup(c.Close)
	return c
}

func fakeSource(t *testing.T, f *consultest.Fake, o Options, q Query) *Source {
	t.Helper()
	return source(t, fakeClient(t, f, o), q)
}

// knowing returns a source that has read that list, with index 50.
func knowing(t *testing.T, list string) (*consultest.Fake, *Source) {
	t.Helper()
	f := consultest.NewFake(t)
	f.Script(consultest.Good(50, list))
	s := fakeSource(t, f, Options{}, Query{})
	if _, err := s.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f, s
}

func source(t *testing.T, c *Client, q Query) *Source {
	t.Helper()
	if q.Service == "" {
		q.Service = "web"
	}
	s, err := c.Source(q)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func describe(r discovery.Reading) []string {
	out := []string{}
	for _, e := range r.Endpoints() {
		out = append(out, e.String())
	}
	return out
}

// sets returns the sets that were published, each once while it lasted, and the
// classes of the errors between them.
func sets(updates []discovery.Update) (counts []int, classes []discovery.Class) {
	for _, u := range updates {
		if u.Err != nil {
			classes = append(classes, discovery.ClassOf(u.Err))
			continue
		}
		counts = append(counts, len(u.Reading.Endpoints()))
	}
	return slices.Compact(counts), slices.Compact(classes)
}

func firstError(updates []discovery.Update) error {
	for _, u := range updates {
		if u.Err != nil {
			return u.Err
		}
	}
	return nil
}
