package output

import (
	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// Degraded says in words what is not as it should be, one line each, whether the agent is
// ready or not: instances that are not in sync, sources that fail, backends of which
// something is held, kept or without a slot, reloads that failed. What an operator asked
// for is no fault.
func Degraded(s api.Status) (lines []string) {
	for _, in := range s.Instances {
		if !in.Up || !in.InSync || len(in.Unloaded) > 0 {
			lines = append(lines, "instance "+textfmt.Clip(in.Name)+": "+InstanceState(in))
		}
	}
	for _, src := range s.Sources {
		if src.State == "failing" {
			lines = append(lines, "source "+textfmt.Clip(src.Name)+" of "+textfmt.Clip(src.Backend)+": "+SourceState(src))
		}
	}
	for _, b := range s.Backends {
		if b.Hold != nil || b.Takeover != nil || len(b.Kept) > 0 || len(b.Overflow) > 0 || b.Problem != "" {
			lines = append(lines, "backend "+textfmt.Clip(b.Name)+": "+BackendState(b, s.At))
		}
	}
	for _, r := range s.Reloads {
		if r.Error != "" {
			lines = append(lines, "reload "+textfmt.Clip(r.Name)+": "+reloadResult(r))
		}
	}
	return lines
}
