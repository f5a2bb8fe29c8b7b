package consul

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/netip"
	"sync"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

// A rights is what the token may read of one service, as far as replies tell: Consul
// says that it left something out, and not what. A list of which something was left out
// since the token was first used is all that there is for that token. One of which
// something is left out now, and was not before, may lack what is there.
//
// Streams do not tell. What they lack is therefore read plainly; see [adapter.lost].
type rights struct {
	mu        sync.Mutex // guards following
	identity  string     // see [Client.identity]; empty: nothing was asked yet
	filtered  bool       // it is normal that something is left out
	everShown bool       // there was an instance at least once
	narrowed  bool       // something is left out that was not before
	listed    map[netip.AddrPort]discovery.Endpoint
	told      bool // listed is what this process was told last
}

// see takes notice of a reply that is used, and of what was made of it. It reports
// whether that may lack what is there.
func (s *rights) see(r reply, reading discovery.Reading) (narrowed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.streaming && !r.filtered { // streams do not tell, but one that does is believed
		return s.narrowed
	}
	if first := s.identity != r.identity; first {
		s.identity, s.filtered, s.everShown, s.narrowed, s.listed, s.told = r.identity, r.filtered, false, false, nil, false
	}
	switch {
	case !r.filtered:
		s.filtered, s.narrowed = false, false
	case s.filtered || s.narrowed:
	case s.told && !lacks(reading, s.listed):
		// It is about instances that have never been there for this token.
		s.filtered = true
	default:
		s.narrowed = true
	}
	s.everShown = s.everShown || len(r.entries) > 0
	return s.narrowed
}

// keep takes notice of what is going to be told. What adds does not replace what was
// told before.
func (s *rights) keep(told discovery.Reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.narrowed:
		return
	case told.Whole() || s.listed == nil:
		s.listed = map[netip.AddrPort]discovery.Endpoint{}
	}
	s.told = true
	maps.Copy(s.listed, discovery.ByAddr(told.Endpoints()))
}

// lacks reports whether one of these is not in reading.
func lacks(reading discovery.Reading, those map[netip.AddrPort]discovery.Endpoint) bool {
	have := discovery.ByAddr(reading.Endpoints())
	for a := range those {
		if _, there := have[a]; !there {
			return true
		}
	}
	return false
}

// mayBeNone reports whether an empty list of which something was left out says that
// there is nothing: so it is for a token that never saw all, and saw something.
func (s *rights) mayBeNone(identity string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.identity == identity && s.filtered && s.everShown
}

func (s *rights) isNarrowed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.narrowed
}

// accept makes it normal that something is left out.
func (s *rights) accept() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.narrowed {
		s.narrowed, s.filtered = false, true
	}
}

// memory is what is kept of rights over restarts. Whether something is left out that
// was not before shows itself again.
type memory struct {
	Asker    string `json:"asker"`
	Filtered bool   `json:"filtered,omitempty"`
	Shown    bool   `json:"shown,omitempty"`
}

// Memory implements [discovery.Rememberer].
func (s *Source) Memory() []byte {
	s.adapter.rights.mu.Lock()
	m := memory{Asker: s.adapter.rights.identity, Filtered: s.adapter.rights.filtered, Shown: s.adapter.rights.everShown}
	s.adapter.rights.mu.Unlock()
	if m.Asker == "" {
		return nil
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return nil
	}
	return raw
}

// Remember implements [discovery.Rememberer].
func (s *Source) Remember(text []byte) {
	var m memory
	if json.Unmarshal(text, &m) != nil {
		return
	}
	s.adapter.rights.mu.Lock()
	defer s.adapter.rights.mu.Unlock()
	if s.adapter.rights.identity == "" {
		s.adapter.rights.identity, s.adapter.rights.filtered, s.adapter.rights.everShown = m.Asker, m.Filtered, m.Shown
	}
}

// Accept implements [discovery.Acceptor]: what this token may not read of the list any
// more is normal from now on.
func (s *Source) Accept() { s.adapter.rights.accept() }

// identity is a digest of a token and what is asked with it: it tells them apart and
// does not reveal the token.
func (c *Client) identity(q Query, token string) string {
	sum := sha256.Sum256([]byte("slotsync rights\x00" + token + "\x00" + c.url(q, longpoll.Request{})))
	return hex.EncodeToString(sum[:12])
}
