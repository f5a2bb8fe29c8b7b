package auth

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web/answer"
)

// Rights are what somebody may do; who has more also has what is before it.
type Rights int

const (
	None    Rights = iota // nothing
	Read                  // to read: the state, the metrics, HAProxy's figures
	Operate               // also to take endpoints out of service and put them back, to pause, accept and sync
	Full                  // everything
)

// A Loopback says what somebody may do who asks over loopback TCP and shows nothing.
type Loopback string

// What [Options.Loopback] may be.
const (
	LoopbackRead    Loopback = "read"    // only read; so is ""
	LoopbackOperate Loopback = "operate" // also drain, stop, start, weigh, pause and accept, unless a token, users or certificates are configured
	LoopbackNone    Loopback = "none"    // nothing
)

// DefaultMaxFor is the longest that something may hold which is asked for without full
// rights.
const DefaultMaxFor = 30 * 24 * time.Hour

// A Caller is who sends a request.
type Caller struct {
	May Rights
	// Name is by what the system or the credentials know the caller; "" if nothing does.
	Name string
	// SignedIn: a cookie says who it is.
	SignedIn bool
	// MaxFor bounds how long what is asked for may hold; 0: nothing does.
	MaxFor time.Duration
}

// Actor says who asks: as what they are known, and what they add to it as a note.
func (c Caller) Actor(note string) string {
	note = api.Sanitize(note)
	switch {
	case c.Name == "":
		return cmp.Or(note, "the API")
	case note == "" || note == c.Name:
		return c.Name
	}
	return api.Sanitize(c.Name + " (" + note + ")")
}

// Who reads for how long, why and for whom c asks for something.
func (c Caller) Who(b api.WhoBody) (api.Who, error) {
	w := api.Who{By: c.Actor(b.By), Reason: api.Sanitize(b.Reason), Keep: b.Keep, MaxFor: c.MaxFor}
	if b.For == "" {
		return w, nil
	}
	d, err := api.ParseDuration(b.For)
	if err != nil || d <= 0 {
		return w, fmt.Errorf("for: %q is no duration, as in 10m, 24h or 7d", api.Sanitize(b.For))
	}
	w.For = d
	return w, nil
}

// Words says who c is, and what c may do.
func (c Caller) Words() string {
	words := "You"
	if c.Name != "" {
		words = "As " + c.Name + " you"
	}
	switch {
	case c.May >= Full:
		return words + " may do everything here."
	case c.May >= Operate:
		return words + " may drain, stop, weigh, pause and accept here."
	}
	return words + " may look here, and change nothing."
}

// callerKey is where a request carries who sends it.
type callerKey struct{}

// withCaller notes that r is sent by c.
func withCaller(r *http.Request, c Caller) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
}

// CallerOf returns who sends r: somebody without rights if nobody has said.
func CallerOf(r *http.Request) Caller {
	c, _ := r.Context().Value(callerKey{}).(Caller)
	return c
}

// IsAdmin reports whether r's sender may do everything.
func IsAdmin(r *http.Request) bool { return CallerOf(r).May >= Full }

// Require lets pass who has these rights.
func Require(least Rights, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if c := CallerOf(r); c.May < least {
			who := "this is not for everybody on this machine"
			if c.Name != "" {
				who = c.Name + " may not do this"
			}
			answer.Problem(w, http.StatusForbidden, who+": use the unix socket (http.socket), "+
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

// authorize says who sends a request, and with which rights. Whoever shows something that is
// wrong has none, whatever else is shown. anonymous is who shows nothing.
func (g *Gate) authorize(c credentials, anonymous Caller) Caller {
	known := Caller{May: Full}
	switch n := len(c.authorization); {
	case n == 0 && c.certificate != "":
		known.Name = c.certificate
	case tokenIn(c.authorization, g.o.Token()):
		known.Name = tokenName
	case tokenIn(c.authorization, g.o.ReadToken()):
		known.Name, known.May = readTokenName, Read
	case n == 1 && c.user != "":
		known.Name = c.user
	case n == 0 && c.session != nil:
		return c.session.who
	case n == 0:
		return anonymous
	default:
		return Caller{}
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
func (g *Gate) anonymous(r *http.Request, asks Config) Caller {
	c := Caller{May: Read}
	switch {
	case !g.loopback || g.o.Loopback == LoopbackNone:
		return Caller{}
	case g.o.Loopback == LoopbackOperate && g.o.Token() == "" && g.o.ReadToken() == "" && !asks.Knows():
		c.May, c.MaxFor, c.Name = Operate, g.o.MaxFor, "loopback"
		if user := PeerOf(r).User(); user != "" {
			c.Name += " user " + user
		}
	}
	return c
}

// Unix notes who sends what comes over the unix socket: they may do everything.
func Unix(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, withCaller(r, Caller{May: Full, Name: PeerOf(r).User()}))
	})
}

// CheckAccess lets pass who may do anything at all, and notes who that is.
func (g *Gate) CheckAccess(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := credentials{authorization: r.Header.Values("Authorization"), session: g.sessionOf(r)}
		var asks Config
		if g.toolkit.Load() != nil {
			var ok bool
			if asks, ok = g.passToolkit(w, r, &c); !ok {
				return
			}
		}
		who := g.authorize(c, g.anonymous(r, asks))
		if who.May == None {
			g.unauthorized(w, len(c.authorization) > 0)
			return
		}
		next.ServeHTTP(w, withCaller(r, who))
	})
}

// unauthorized says what is needed to pass.
func (g *Gate) unauthorized(w http.ResponseWriter, wrong bool) {
	w.Header().Add("WWW-Authenticate", `Bearer realm="slotsync"`)
	answer.Problem(w, http.StatusUnauthorized, g.wanting(wrong))
}

func (g *Gate) wanting(wrong bool) string {
	switch {
	case g.toolkit.Load() != nil && wrong:
		return "this is neither the token nor a user and his password"
	case g.toolkit.Load() != nil:
		return "a bearer token, a client certificate, or a user and his password are needed"
	case wrong:
		return "this is not the token"
	}
	return "a bearer token is needed"
}
