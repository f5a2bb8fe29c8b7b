package doctor

import (
	"fmt"
	"slices"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/slots"
)

// judgeWarnings says whether HAProxy, running as r, lets warnings keep it from starting:
// there is one for each slot that is `disabled` in the configuration and filled by the
// state file, in every version and however the file is written.
func (f *findings) judgeWarnings(in config.Instance, own []slots.Server, r running) {
	disabled := slices.ContainsFunc(own, func(s slots.Server) bool { return s.Disabled })
	if in.StateFile == "" || !disabled {
		return
	}
	if where := r.zeroWarning(); where != "" {
		f.add(api.VerdictFail, "HAProxy takes no warnings (%s), and there is one for each filled slot in the state file "+
			"(\"is UP/READY (leaving forced maintenance)\"): it would refuse to reload or restart: remove that, or state_file", where)
	}
}

// zeroWarning returns where the HAProxy was told to end at a warning; "" if it was not, or if
// it cannot be seen from here.
func (r running) zeroWarning() string {
	if slices.Contains(r.args, "-dW") {
		return "-dW on its command line"
	}
	for d := range r.global() {
		if d.words[0] == "zero-warning" {
			return fmt.Sprintf("zero-warning at %s:%d", d.file, d.line)
		}
	}
	return ""
}
