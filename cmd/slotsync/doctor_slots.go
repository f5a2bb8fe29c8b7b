package main

import (
	"fmt"
	"strings"
)

// judgeSlots says which instances have fewer slots for a backend than others. instances
// is what was found at each.
func judgeSlots(backends []backendConfig, instances []findings) []finding {
	var list []finding
	for _, b := range backends {
		if b.dynamic {
			continue // what is added at run time may be missing for a moment
		}
		most := 0
		for _, f := range instances {
			most = max(most, f.slots[b.name])
		}
		var fewer, full []string
		for _, f := range instances {
			name := strings.TrimPrefix(f.subject, "instance ")
			switch n := f.slots[b.name]; {
			case n == 0: // that it has none was said, or it does not serve it
			case n < most:
				fewer = append(fewer, fmt.Sprintf("%s (%d)", name, n))
			default:
				full = append(full, name)
			}
		}
		if len(fewer) > 0 {
			list = append(list, finding{verdictWarn, "backend " + b.name, fmt.Sprintf("%d slots at %s, and fewer at %s: an endpoint takes no traffic where its slot is lacking: write the same number everywhere",
				most, listed(full, 5), listed(fewer, 5))})
		}
	}
	return list
}
