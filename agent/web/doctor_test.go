package web_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client/clienttest"
	"github.com/slotsync/slotsync/tools/eventually"
)

// TestDoctorExaminesOneAtATime: it asks everybody, so that a second one is told to come again,
// and an end of who asks is an end of it.
func TestDoctorExaminesOneAtATime(t *testing.T) {
	f, begun := newFake(), make(chan struct{}, 3)
	var n atomic.Int32
	o := options(f)
	o.Socket = filepath.Join(socketDir(t), "a.sock")
	o.Examine = func(ctx context.Context) ([]api.Finding, error) {
		begun <- struct{}{}
		if n.Add(1) == 1 {
			<-ctx.Done()
		}
		return nil, nil
	}
	serve(t, o)
	c := clienttest.New(t, "unix://"+o.Socket, nil)
	ctx, leave := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := c.Doctor(ctx)
		first <- err
	}()
	<-begun
	_, err := c.Doctor(t.Context())
	clienttest.CheckError(t, err, api.ErrExamining.Error())
	leave()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("who has left is told %v", err)
	}
	eventually.True(t, "the next one is examined for", func() bool { // the agent has to see that the first has left
		_, err := c.Doctor(t.Context())
		return err == nil
	})
	if got := n.Load(); got != 2 {
		t.Errorf("%d examinations of three that were asked for, one of them beside another", got)
	}
}

func TestDoctorSaysWhatIsFound(t *testing.T) {
	f := newFake()
	o := options(f)
	o.Socket, o.Listen = filepath.Join(socketDir(t), "a.sock"), "127.0.0.1:0"
	s := serve(t, o)
	want := []api.Finding{{Verdict: api.VerdictOK, Subject: "instance a", Text: "it is fine"}}
	got, err := clienttest.New(t, "unix://"+o.Socket, nil).Doctor(t.Context())
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err = clienttest.New(t, "http://"+s.Addr(), nil).Doctor(t.Context()); err == nil || len(f.changes()) != 1 {
		t.Errorf("without a token: %v, %q", err, f.changes())
	}
}
