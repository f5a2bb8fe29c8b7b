package remote

import (
	"fmt"
	"slices"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// maxBackendsNamed bounds the backends that are named where one is not known.
const maxBackendsNamed = 20

// OfBackend returns what s says of one backend: its sources, the instances that serve it or
// have not answered yet, the reloads of those, and what operators asked of it.
func OfBackend(s api.Status, name string) (api.Status, error) {
	var names []string
	for _, b := range s.Backends {
		names = append(names, b.Name)
	}
	i := slices.Index(names, name)
	switch {
	case i < 0 && len(names) == 0:
		return s, fmt.Errorf("the agent is starting, and has no backend yet: %s", textfmt.List(s.NotReady, 3))
	case i < 0:
		return s, fmt.Errorf("there is no backend %q%s (there are: %s)", textfmt.Clip(name), textfmt.DidYouMean(name, names), textfmt.List(names, maxBackendsNamed))
	}
	whole := s
	s.Backends = s.Backends[i : i+1]
	s.Instances = only(s.Instances, func(in api.InstanceStatus) bool { return whole.MayServe(in.Name, name) })
	s.Sources = only(s.Sources, func(x api.SourceStatus) bool { return x.Backend == name })
	s.Overrides = only(s.Overrides, func(o api.Override) bool { return o.Backend == name || o.Backend == "" })
	s.Pauses = only(s.Pauses, func(p api.Pause) bool { return p.Backend == name || p.Backend == "" })
	s.Reloads = only(s.Reloads, func(r api.ReloadStatus) bool {
		return slices.ContainsFunc(r.Instances, func(in string) bool { return whole.MayServe(in, name) })
	})
	return s, nil
}

// only returns those of list that are wanted, never nil.
func only[T any](list []T, wanted func(T) bool) []T {
	return slices.DeleteFunc(append([]T{}, list...), func(x T) bool { return !wanted(x) })
}
