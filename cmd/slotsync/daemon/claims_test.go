package daemon

import (
	"errors"
	"testing"

	"github.com/slotsync/slotsync/slots"
)

func TestClaims(t *testing.T) {
	first, second := slots.Process{Pid: 1, Node: "n"}, slots.Process{Pid: 2, Node: "n"}
	c := &claims{}
	c.keep([]string{"a", "b"})
	take := func(name string, p slots.Process, refused bool) {
		t.Helper()
		err := c.take(name, p)
		if fault, _ := slots.FaultOf(err); refused != (err != nil) || refused && fault != slots.Denied {
			t.Errorf("%s takes %d: %v", name, p.Pid, err)
		}
	}
	take("b", first, false) // nobody has it yet
	take("a", first, false) // the earlier one is served
	take("b", first, true)
	take("b", second, false)
	take("a", second, false)
	take("b", second, true)
	c.drop("a") // its socket is gone: the other one is the way there
	take("b", second, false)
	take("a", second, false)
	c.keep([]string{"b"})
	take("b", second, false)
	take("a", second, false) // it ends
	take("b", second, false)
	c.keep([]string{"b", "a"})
	take("a", second, true)
}

func TestClaimedConnections(t *testing.T) {
	c := &claims{}
	c.keep([]string{"a", "b"})
	process := slots.Process{Pid: 1, Node: "n"}
	if err := (claimed{name: "a", claims: c}).judge(process, nil); err != nil {
		t.Error(err)
	}
	b := claimed{name: "b", claims: c}
	if err := b.judge(process, nil); err == nil {
		t.Error("one process has two names")
	}
	if _, err := b.Apply(t.Context(), process, nil); err == nil {
		t.Error("it is written to")
	}
	if err := (claimed{name: "a", claims: c}).judge(slots.Process{}, errors.New("gone")); err == nil {
		t.Error("the error is lost")
	}
	if err := b.judge(process, nil); err != nil {
		t.Error(err)
	}
}
