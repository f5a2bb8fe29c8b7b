package nomad

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/hashicorp/nomad/api"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

// A reply is what a 200 says: the instances, and in its headers what they rest
// on.
type reply struct {
	list   []*api.ServiceRegistration
	index  uint64 // 0 if there is none that can be read
	leader bool   // the server knows one
	cut    bool   // it is one page of several
}

// Index implements [longpoll.Reply].
func (r reply) Index() uint64 { return r.index }

// Len implements [longpoll.Reply].
func (r reply) Len() int { return len(r.list) }

// String implements [longpoll.Reply].
func (r reply) String() string {
	return fmt.Sprintf("200, %d instances, index %d", len(r.list), r.index)
}

func parseHeader(h http.Header) reply {
	index, err := strconv.ParseUint(h.Get("X-Nomad-Index"), 10, 64)
	if err != nil {
		index = 0
	}
	return reply{
		index: index, leader: h.Get("X-Nomad-KnownLeader") == "true", cut: h.Get("X-Nomad-NextToken") != "",
	}
}

// decode reads the list of instances, one by one, so that one that is too long
// is given up early. The body has to be that list and nothing else.
func decode(raw []byte) ([]*api.ServiceRegistration, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if token, err := dec.Token(); err != nil || token != json.Delim('[') {
		return nil, errors.New("it is not a list of instances")
	}
	list := []*api.ServiceRegistration{}
	for dec.More() {
		if len(list) == discovery.MaxEndpoints {
			return nil, fmt.Errorf("more than %d instances", discovery.MaxEndpoints)
		}
		var one *api.ServiceRegistration
		if err := dec.Decode(&one); err != nil {
			return nil, fmt.Errorf("instance %d: %w", len(list), err)
		}
		if one == nil || one.ServiceName == "" || one.ID == "" {
			return nil, fmt.Errorf("instance %d is none", len(list))
		}
		list = append(list, one)
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New("the list of instances does not end")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the list of instances")
	}
	return list, nil
}

// judge classifies the reply to req. have is how many instances the last one that
// was applied had.
//
//	condition, first that fits              blocking query  plain read
//	no readable index, or index 0           protocol error  protocol error
//	one page of several                     protocol error  protocol error
//	an instance of another service          protocol error  protocol error
//	no leader known,
//	    index higher than asked             ApplyPartly     server error
//	    index as asked, or lower            Reseed          server error
//	index lower than asked                  Reseed          -
//	index as asked                          Unchanged       -
//	none left, or half and 3 or more gone   Doubtful        Apply
//	otherwise                               Apply           Apply
//
// A list that is null or holds null is refused before, by decode.
func judge(q Query, req longpoll.Request, have int, r reply) (longpoll.Disposition, error) {
	blocking, n := req.Blocking(), len(r.list)
	other := func(i *api.ServiceRegistration) bool { return i.ServiceName != q.Service }
	switch {
	case r.index == 0:
		return 0, discovery.Errorf(discovery.Protocol, "the reply has no X-Nomad-Index: is this Nomad?")
	case r.cut:
		return 0, discovery.Errorf(discovery.Protocol, "the reply is one page of several")
	case slices.ContainsFunc(r.list, other):
		return 0, discovery.Errorf(discovery.Protocol, "the reply is about another service")
	case !r.leader && blocking && r.index > req.Index:
		return longpoll.ApplyPartly, nil
	case !r.leader && blocking:
		return longpoll.Reseed, nil // old data adds what has gone since
	case !r.leader:
		return 0, discovery.Errorf(discovery.Server, "the server knows no leader")
	case !blocking:
		return longpoll.Apply, nil
	case r.index < req.Index:
		return longpoll.Reseed, nil
	case r.index == req.Index:
		return longpoll.Unchanged, nil
	case longpoll.Collapsed(have, n):
		return longpoll.Doubtful, nil
	}
	return longpoll.Apply, nil
}

// reading turns instances into endpoints, one by one: one that is not fit to be an
// endpoint does not spoil the others. If none is, something is wrong with all of
// them, and the reading removes nothing. Index 1 is that of a cluster in which
// nothing was ever registered, which is what one looks like that has lost its
// state.
func (q Query) reading(r reply) discovery.Reading {
	out := discovery.Reading{Note: fmt.Sprintf("index %d", r.index)}
	var part discovery.Part
	for _, i := range r.list {
		if !q.wants(i) {
			continue
		}
		addr, reason := discovery.Parse(i.Address, i.Port)
		if reason == "" {
			part.Endpoints = append(part.Endpoints, discovery.Endpoint{Addr: addr, Name: nameOf(i)})
			continue
		}
		out.Rejected = append(out.Rejected, discovery.Rejection{
			Reason: reason, Name: nameOf(i), Value: discovery.Printable(fmt.Sprintf("%s port %d", i.Address, i.Port), 100),
		})
	}
	part.Endpoints = discovery.Normalize(part.Endpoints)
	switch {
	case r.index == 1:
		part.State, part.Why = discovery.Partial, "in this cluster no service was ever registered"
	case len(part.Endpoints) == 0 && len(out.Rejected) > 0:
		part.State, part.Why = discovery.Partial, "every instance is refused"
	}
	out.Parts = []discovery.Part{part}
	return out
}

func (q Query) wants(i *api.ServiceRegistration) bool {
	return !slices.ContainsFunc(q.Tags, func(tag string) bool { return !slices.Contains(i.Tags, tag) })
}

// nameOf is what Nomad's own tools call an allocation: the first 8 digits.
func nameOf(i *api.ServiceRegistration) string {
	if id := []rune(i.AllocID); len(id) >= 8 {
		return discovery.Printable(string(id[:8]), 8)
	}
	return discovery.Printable(i.ID, 100)
}
