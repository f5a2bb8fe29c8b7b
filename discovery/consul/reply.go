package consul

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/segmentio/encoding/json"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

// A reply is what a 200 says: the instances, and in its headers what they rest
// on.
type reply struct {
	entries   []entry
	mode      string        // of the question
	index     uint64        // 0 if there is none that can be read
	age       time.Duration // behind the leader, or in the agent's cache
	leader    bool          // the server knows one
	streaming bool          // the agent follows the service itself: leader and age mean nothing
	cached    bool          // it comes from the agent's cache
	anyServer bool          // any server may have answered, also if the leader was asked (discovery_max_stale)
	filtered  bool          // instances were left out for lack of rights
	deny      bool          // without a token nothing may be read
	token     bool          // one was sent
	identity  string        // see [Client.identity]
}

// Index implements [longpoll.Reply].
func (r reply) Index() uint64 { return r.index }

// Len implements [longpoll.Reply].
func (r reply) Len() int { return len(r.entries) }

// String implements [longpoll.Reply].
func (r reply) String() string {
	s := fmt.Sprintf("200, %d instances, index %d", len(r.entries), r.index)
	if r.streaming {
		s += ", backend streaming"
	}
	return s
}

func parseHeader(h http.Header) reply {
	index, err := strconv.ParseUint(h.Get("X-Consul-Index"), 10, 64)
	if err != nil {
		index = 0
	}
	return reply{
		index:     index,
		age:       max(duration(h.Get("X-Consul-LastContact"), time.Millisecond), duration(h.Get("Age"), time.Second)),
		leader:    h.Get("X-Consul-KnownLeader") == "true",
		streaming: h.Get("X-Consul-Query-Backend") == "streaming",
		cached:    h.Get("X-Cache") == "HIT",
		anyServer: h.Get("X-Consul-Effective-Consistency") == "stale",
		filtered:  h.Get("X-Consul-Results-Filtered-By-ACLs") == "true",
		deny:      h.Get("X-Consul-Default-ACL-Policy") == "deny",
	}
}

// note says what r rests on, for people.
func (r reply) note() string {
	index := fmt.Sprintf("index %d, ", r.index)
	switch age := r.age.Round(time.Millisecond); {
	case r.streaming:
		return index + "streamed to the agent"
	case !r.leader:
		return index + "no leader"
	case r.mode == longpoll.Consistent:
		return index + "confirmed by the leader"
	case r.mode == longpoll.Default && !r.anyServer:
		return index + "from the leader"
	case r.cached:
		return index + fmt.Sprintf("cached %s ago", age)
	default:
		return index + fmt.Sprintf("leader %s ago", age)
	}
}

// duration reads s as a number of units; what is too large is very long.
func duration(s string, unit time.Duration) time.Duration {
	n, err := strconv.ParseUint(s, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && n > uint64(math.MaxInt64/unit):
		return math.MaxInt64
	case err != nil:
		return 0
	}
	return time.Duration(n) * unit
}

// decode reads the list of instances, one by one, so that one that is too long
// is given up early. The body has to be that list and nothing else.
func decode(raw []byte) ([]entry, error) {
	if tooDeep(raw) {
		return nil, fmt.Errorf("it is nested deeper than %d levels", maxDepth)
	}
	rest, ok := bytes.CutPrefix(bytes.TrimLeft(raw, blanks), []byte("["))
	if !ok {
		return nil, errors.New("it is not a list of instances")
	}
	entries := []entry{}
	if rest = bytes.TrimLeft(rest, blanks); len(rest) > 0 && rest[0] == ']' {
		return entries, ended(rest[1:])
	}
	for {
		if len(entries) == discovery.MaxEndpoints {
			return nil, fmt.Errorf("more than %d instances", discovery.MaxEndpoints)
		}
		var e entry
		var err error
		if rest, err = json.Parse(rest, &e, json.DontMatchCaseInsensitiveStructFields|json.DontCopyRawMessage); err != nil {
			return nil, fmt.Errorf("instance %d: %w", len(entries), err)
		}
		if e.Node == nil || e.Service == nil {
			return nil, fmt.Errorf("instance %d has no node or no service", len(entries))
		}
		entries = append(entries, e)
		rest = bytes.TrimLeft(rest, blanks)
		switch {
		case len(rest) > 0 && rest[0] == ',':
			rest = rest[1:]
		case len(rest) > 0 && rest[0] == ']':
			return entries, ended(rest[1:])
		default:
			return nil, fmt.Errorf("after %d instances the list does not go on", len(entries))
		}
	}
}

// blanks may stand between the parts of a JSON text (RFC 8259, 2).
const blanks = " \t\r\n"

func ended(rest []byte) error {
	if len(bytes.TrimLeft(rest, blanks)) > 0 {
		return errors.New("something follows the list of instances")
	}
	return nil
}

// maxDepth is far more than an instance has. Without a limit, a body of
// brackets alone would use up the stack.
const maxDepth = 100

func tooDeep(raw []byte) bool {
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			i += stringEnd(raw[i+1:])
		case '[', '{':
			if depth++; depth > maxDepth {
				return true
			}
		case ']', '}':
			depth--
		}
	}
	return false
}

// stringEnd returns how many bytes of text belong to a string that has begun,
// its closing quote included.
func stringEnd(text []byte) int {
	for end := 0; ; {
		i := bytes.IndexByte(text[end:], '"')
		if i < 0 {
			return len(text)
		}
		end += i + 1
		before := bytes.TrimRight(text[:end-1], `\`)
		if (end-1-len(before))%2 == 0 { // a backslash that is not escaped itself escapes the quote
			return end
		}
	}
}

// judge classifies the reply to req. have is how many instances the last one that
// was applied had, -1 if there was none; mayBeNone is what [rights.mayBeNone] says.
//
//	condition, first that fits              blocking read   plain read
//	no readable index, or index 0           protocol error  protocol error
//	index 1: there is no state              Reseed          server error
//	no leader known, and not streaming,
//	    index higher than asked             ApplyPartly     server error
//	    index as asked, or lower            Reseed          server error
//	none, filtered by ACLs, unless that
//	    may mean that there is none         auth error      auth error
//	none, no token, and policy deny         auth error      auth error
//	older than maxStale, and not streaming  TooOld          -
//	index lower than asked                  Reseed          -
//	index as asked, not streaming, and
//	    more, or filtered and fewer         Doubtful        -
//	index as asked                          Unchanged       -
//	none left, or half and 3 or more gone   Doubtful        Apply; Doubtful if
//	                                                        any server answered
//	otherwise                               Apply           Apply
//
// Lists that are null or hold null are refused before, by decode. Whether a list that
// is applied lacks what the token may not read any more is said by [rights.see].
func judge(req longpoll.Request, have int, mayBeNone bool, maxStale time.Duration, r reply) (longpoll.Disposition, error) {
	blocking, n := req.Blocking(), len(r.entries)
	switch {
	case r.index == 0:
		return 0, discovery.Errorf(discovery.Protocol, "the reply has no X-Consul-Index: is this Consul?")
	case r.index == 1 && blocking:
		return longpoll.Reseed, nil
	case r.index == 1:
		return 0, discovery.Errorf(discovery.Server, "the agent has no data yet (index 1)")
	case !r.leader && !r.streaming && blocking && r.index > req.Index:
		return longpoll.ApplyPartly, nil
	case !r.leader && !r.streaming && blocking:
		return longpoll.Reseed, nil // old data adds what has gone since
	case !r.leader && !r.streaming:
		return 0, discovery.Errorf(discovery.Server, "the server knows no leader")
	case r.filtered && n == 0 && !mayBeNone:
		return 0, discovery.Errorf(discovery.Auth, "instances are missing: the token lacks node:read or service:read")
	case n == 0 && r.deny && !r.token:
		return 0, discovery.Errorf(discovery.Auth, "nothing can be read without a token (default policy deny)")
	case !blocking && r.anyServer && longpoll.Collapsed(have, n):
		return longpoll.Doubtful, nil
	case !blocking:
		return longpoll.Apply, nil
	case r.age > maxStale && !r.streaming && req.Mode != longpoll.Default:
		return longpoll.TooOld, nil
	case r.index < req.Index:
		return longpoll.Reseed, nil
	case r.index == req.Index && !r.streaming && (r.filtered && n < have || have >= 0 && n > have):
		return longpoll.Doubtful, nil // rights have no index
	case r.index == req.Index:
		return longpoll.Unchanged, nil
	case longpoll.Collapsed(have, n):
		return longpoll.Doubtful, nil
	}
	return longpoll.Apply, nil
}
