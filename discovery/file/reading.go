package file

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/slotsync/slotsync/discovery"
)

// partName is that of the part that a file is: its own name, quoted where it cannot be
// shown.
func partName(file string) string {
	if discovery.Printable(file, len(file)) == file {
		return file
	}
	return strconv.QuoteToASCII(file)
}

func (q Query) reading(s snapshot) (discovery.Reading, error) {
	if s.err != nil {
		return discovery.Reading{}, s.err
	}
	folder := discovery.Part{Name: partName(s.path)}
	if s.listErr != nil {
		folder.State, folder.Err = discovery.Unknown, s.listErr
	}
	r := discovery.Reading{Note: discovery.Count(len(s.files), "file")}
	var illegible *view // the first that is named after the service
	answered, targets := false, 0
	for i, v := range s.files {
		// A file that holds nothing of the service says so, whatever it held before.
		answered = answered || v.state != discovery.Unknown || v.good
		if !q.concerns(v) {
			continue
		}
		part, rejected := q.part(v, folder.Name)
		if illegible == nil && part.State == discovery.Unknown && q.namesake(v) {
			illegible = &s.files[i]
		}
		r.Parts, r.Rejected = append(r.Parts, part), append(r.Rejected, rejected...)
		targets += len(part.Endpoints)
	}
	switch {
	case illegible != nil && !answered:
		return discovery.Reading{}, discovery.Errorf(discovery.Protocol, "%s", illegible.remark())
	case targets+len(r.Rejected) > discovery.MaxEndpoints:
		return discovery.Reading{}, discovery.Errorf(discovery.Protocol, "more than %d targets", discovery.MaxEndpoints)
	}
	r.Parts = append(r.Parts, folder)
	return r.Normalized(), nil
}

// part is what a file says of the service, and what in it is refused.
func (q Query) part(v view, folder string) (discovery.Part, []discovery.Rejection) {
	part := discovery.Part{Name: partName(v.name), Parent: folder, State: v.state, Why: v.why, Err: v.err()}
	if part.Err != nil {
		part.Why = ""
	}
	var rejected []discovery.Rejection
	for _, i := range v.items {
		switch {
		case !q.wants(i):
		case i.reason == "":
			part.Endpoints = append(part.Endpoints, i.endpoint)
		default:
			rejected = append(rejected, discovery.Rejection{Reason: i.reason, Name: i.endpoint.Name, Value: i.target})
		}
	}
	if part.State == discovery.Whole && len(part.Endpoints) == 0 && len(rejected) > 0 {
		part.State, part.Why = discovery.Partial, "every target is refused"
	}
	return part, rejected
}

// concerns reports whether v is a part of what is known of the service. A file that cannot
// be read may hold some of it, and so may one that never could be.
func (q Query) concerns(v view) bool {
	return q.namesake(v) || v.state == discovery.Unknown && !v.mayBeHalfWritten || v.state != discovery.Whole && !v.good ||
		slices.ContainsFunc(v.items, q.wants) || v.state != discovery.Whole && slices.ContainsFunc(v.held, q.wants)
}

// mayBeHalfWritten reports whether more will be known in a moment of a file that is a part.
func (q Query) mayBeHalfWritten(v view) bool { return v.mayBeHalfWritten && q.concerns(v) }

func (q Query) wants(i item) bool { return q.Service == "" || q.Service == i.service }

func (q Query) namesake(v view) bool {
	return q.Service == "" || strings.TrimSuffix(v.name, filepath.Ext(v.name)) == q.Service
}

// hasNews reports whether now says anything that last did not. What is missing of files
// that may be half written is no news.
func (q Query) hasNews(from snapshot, now, last discovery.Reading) bool {
	settling := map[string]bool{}
	for _, v := range from.files {
		if v.mayBeHalfWritten {
			settling[partName(v.name)] = true
		}
	}
	before := map[string][]discovery.Endpoint{}
	for _, p := range last.Parts {
		before[p.Name] = p.Endpoints
	}
	for _, p := range now.Parts {
		if settling[p.Name] && adds(p.Endpoints, before[p.Name]) {
			return true
		}
	}
	steady := func(r discovery.Reading) discovery.Reading {
		r.Parts = slices.DeleteFunc(slices.Clone(r.Parts), func(p discovery.Part) bool { return settling[p.Name] })
		return r
	}
	now, last = steady(now), steady(last)
	return !now.Equal(last) || !slices.Equal(now.Gaps(), last.Gaps())
}

// adds reports whether an endpoint of now is not, or is another, in old.
func adds(now, old []discovery.Endpoint) bool {
	had := discovery.ByAddr(old)
	return slices.ContainsFunc(now, func(e discovery.Endpoint) bool { return had[e.Addr] != e })
}

// remarks says of each file that is not whole why that is.
func (s snapshot) remarks() []string {
	var all []string
	if s.listErr != nil && s.err == nil {
		all = append(all, "there may be more files: "+s.listErr.Error())
	}
	for _, v := range s.files {
		if v.why != "" && len(all) < 10 {
			all = append(all, v.remark())
		}
	}
	return all
}

func (v view) remark() string { return discovery.Printable(v.name, 60) + ": " + v.why }
