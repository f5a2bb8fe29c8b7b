package remote

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/slots"
)

// serversOf names the servers of a backend that have the endpoint at an instance, in a slot that is
// free by now too, and says whether any takes new sessions.
func serversOf(b api.BackendStatus, instance, endpoint string) (named []string, ready bool) {
	for _, slot := range b.Slots {
		for _, at := range slot.Instances {
			if at.Instance == instance && !at.Lacking && at.Address == endpoint {
				named = append(named, cmp.Or(at.Name, slot.Name))
				ready = ready || at.State == slots.Ready
			}
		}
	}
	return named, ready
}

// sessionsAt counts the sessions of an endpoint in a backend of HAProxy's: of the servers that
// are named, and of any other that has its address, such as one of a template that the
// configuration names no more. It reports false if a server that is named does not say.
func sessionsAt(dump slots.Dump, proxy, endpoint string, named []string) (n int, ok bool) {
	told := 0
	for _, row := range dump.Rows {
		asked := slices.Contains(named, row["svname"])
		if row["pxname"] != proxy || !asked && row["addr"] != endpoint {
			continue
		}
		sessions, err := strconv.Atoi(row["scur"])
		if err != nil {
			return 0, false
		}
		if n += sessions; asked {
			told++
		}
	}
	return n, told == len(named)
}
