package slots_test

import (
	"testing"

	"github.com/slotsync/slotsync/slots"
)

// TestProcessSame: in a container every worker may have the same pid.
func TestProcessSame(t *testing.T) {
	p := slots.Process{Version: "2.6.12", Pid: 8, Started: 1000, Node: "a"}
	cases := []struct {
		name string
		q    slots.Process
		want bool
	}{
		{"itself", p, true},
		{"another pid", slots.Process{Version: "2.6.12", Pid: 9, Started: 1000, Node: "a"}, false},
		{"the same pid later", slots.Process{Version: "2.6.12", Pid: 8, Started: 1001, Node: "a"}, false},
		{"on another node", slots.Process{Version: "2.6.12", Pid: 8, Started: 1000, Node: "b"}, false},
		{"draining", slots.Process{Version: "2.6.12", Pid: 8, Started: 1000, Node: "a", Stopping: true}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if p.Same(c.q) != c.want || c.q.Same(p) != c.want {
				t.Errorf("want %v", c.want)
			}
		})
	}
}
