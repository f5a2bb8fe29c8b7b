package reload

import (
	"testing"

	"github.com/slotsync/slotsync/slots"
)

func TestSuccessor(t *testing.T) {
	before := slots.Process{Pid: 7, Started: 1000}
	is := successor(map[string]slots.Process{"edge": before})
	for _, c := range []struct {
		name string
		p    slots.Process
		want bool
	}{
		{"the one from before", before, false},
		{"a new one", slots.Process{Pid: 8, Started: 1005}, true},
		{"a new one of the same pid", slots.Process{Pid: 7, Started: 1005}, true},
		{"another one that ends", slots.Process{Pid: 8, Started: 1005, Stopping: true}, false},
	} {
		if err := is("edge", c.p); (err == nil) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
