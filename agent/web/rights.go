package web

import (
	"cmp"
	"context"
	"net/http"
	"time"
)

// rights are what somebody may do; who has more also has what is before it.
type rights int

const (
	noRights rights = iota // nothing
	reads                  // to read: the state, the metrics, HAProxy's figures
	operates               // also to take endpoints out of service and put them back, to pause, accept and sync
	full                   // everything
)

// A Loopback says what somebody may do who asks over loopback TCP and shows nothing.
type Loopback string

// What [Options.Loopback] may be.
const (
	LoopbackRead    Loopback = "read"    // only read; so is ""
	LoopbackOperate Loopback = "operate" // also drain, stop, start, weigh, pause and accept, unless a token, users or certificates are configured
	LoopbackNone    Loopback = "none"    // nothing
)

// Loopbacks lists them.
func Loopbacks() []string {
	return []string{string(LoopbackRead), string(LoopbackOperate), string(LoopbackNone)}
}

// DefaultMaxFor is the longest that something may hold which is asked for without full
// rights.
const DefaultMaxFor = 30 * 24 * time.Hour

// A caller is who sends a request.
type caller struct {
	may rights
	// name is by what the system or the credentials know the caller; "" if nothing does.
	name string
	// session: a cookie says who it is.
	session bool
	// maxFor bounds how long what is asked for may hold; 0: nothing does.
	maxFor time.Duration
}

// by says who asks: as what they are known, and what they add to it as a note.
func (c caller) by(note string) string {
	note = noted(note)
	switch {
	case c.name == "":
		return cmp.Or(note, "the API")
	case note == "" || note == c.name:
		return c.name
	}
	return noted(c.name + " (" + note + ")")
}

// callerKey is where a request carries who sends it.
type callerKey struct{}

// from notes that r is sent by c.
func from(r *http.Request, c caller) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
}

// callerOf returns who sends r: somebody without rights if nobody has said.
func callerOf(r *http.Request) caller {
	c, _ := r.Context().Value(callerKey{}).(caller)
	return c
}

// isOwner reports whether r's sender may do everything.
func isOwner(r *http.Request) bool { return callerOf(r).may >= full }

// needing lets pass who has these rights.
func needing(least rights, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if callerOf(r).may < least {
			problem(w, http.StatusForbidden, "this is not for everybody on this machine: use the unix socket (http.socket), "+
				"a token (http.token_file), a client certificate or a password (http.web_config_file)")
			return
		}
		next(w, r)
	}
}

// credentials are what a request shows of who sends it.
type credentials struct {
	authorization []string // the headers of that name
	certificate   string   // whose it is, of one that an authority of the listener's has signed; "" for none
	user          string   // whose name and password are right; "" for none
	session       *session // nil for none
}

// judge says who sends a request, and with which rights. Whoever shows something that is
// wrong has none, whatever else is shown. anonymous is who shows nothing.
func (s *Server) judge(c credentials, anonymous caller) caller {
	known := caller{may: full}
	switch n := len(c.authorization); {
	case n == 0 && c.certificate != "":
		known.name = c.certificate
	case tokenIn(c.authorization, s.o.Token()):
		known.name = tokenName
	case tokenIn(c.authorization, s.o.ReadToken()):
		known.name, known.may = readTokenName, reads
	case n == 1 && c.user != "":
		known.name = c.user
	case n == 0 && c.session != nil:
		return c.session.who
	case n == 0:
		return anonymous
	default:
		return caller{}
	}
	return known
}

// What is said of who shows a token, which says nothing of who that is.
const (
	tokenName     = "the token's holder"
	readTokenName = "the reading token's holder"
)

// anonymous is who came in that way and shows nothing. Once something is configured that
// can be shown it is asked for.
func (s *Server) anonymous(r *http.Request, asks Config) caller {
	c := caller{may: reads}
	switch {
	case !s.loopback || s.o.Loopback == LoopbackNone:
		return caller{}
	case s.o.Loopback == LoopbackOperate && s.o.Token() == "" && !asks.Knows():
		c.may, c.maxFor, c.name = operates, s.o.MaxFor, "loopback"
		if user := peerOf(r).user(); user != "" {
			c.name += " user " + user
		}
	}
	return c
}

// known notes who sends what comes over the unix socket: they may do everything.
func known(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, from(r, caller{may: full, name: peerOf(r).user()}))
	})
}

// checkAccess lets pass who may do anything at all, and notes who that is.
func (s *Server) checkAccess(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := credentials{authorization: r.Header.Values("Authorization"), session: s.sessionOf(r)}
		var asks Config
		if s.gate.Load() != nil {
			var ok bool
			if asks, ok = s.passGate(w, r, &c); !ok {
				return
			}
		}
		who := s.judge(c, s.anonymous(r, asks))
		if who.may == noRights {
			s.unauthorized(w, len(c.authorization) > 0)
			return
		}
		next.ServeHTTP(w, from(r, who))
	})
}

// unauthorized says what is needed to pass.
func (s *Server) unauthorized(w http.ResponseWriter, wrong bool) {
	w.Header().Add("WWW-Authenticate", `Bearer realm="slotsync"`)
	problem(w, http.StatusUnauthorized, s.wanting(wrong))
}

func (s *Server) wanting(wrong bool) string {
	switch {
	case s.gate.Load() != nil && wrong:
		return "this is neither the token nor a user and his password"
	case s.gate.Load() != nil:
		return "a bearer token, a client certificate, or a user and his password are needed"
	case wrong:
		return "this is not the token"
	}
	return "a bearer token is needed"
}
