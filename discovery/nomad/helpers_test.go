package nomad

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/slotsync/slotsync/discovery/nomad/nomadtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeClient returns a client whose connections end in f.
func fakeClient(t *testing.T, f *nomadtest.Fake, o Options) *Client {
	t.Helper()
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	c.http.Dial = f.Dial
	t.Cleanup(c.Close)
	return c
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

func fakeSource(t *testing.T, f *nomadtest.Fake, o Options) *Source {
	t.Helper()
	return source(t, fakeClient(t, f, o), Query{})
}
