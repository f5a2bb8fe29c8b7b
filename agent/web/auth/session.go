package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// This file lets people sign in on the page: a browser shows neither a token nor, without
// a dialog of its own, a password.

const (
	// sessionFor is how long somebody stays signed in.
	sessionFor = time.Hour
	// maxSessions bounds how many are signed in; the oldest is signed out for a newer one.
	maxSessions = 64
)

// A session is somebody who has signed in.
type session struct {
	id    [sha256.Size]byte // digest of what the cookie says
	who   Caller
	uid   int // whose browser it is, -1 if that is not known
	until time.Time
	// user is "" for a token.
	user string
	// proof is the digest of what was right when the session began: the token, or what the
	// file knows of the user's password. When that changes the session has ended.
	proof [sha256.Size]byte
}

// sessions are those who have signed in.
type sessions struct {
	mu  sync.Mutex
	all []session
}

// add begins a session and returns what its cookie says.
func (s *sessions) add(n session, now time.Time) string {
	secret := rand.Text()
	n.id, n.until = sha256.Sum256([]byte(secret)), now.Add(sessionFor)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(o session) bool { return !now.Before(o.until) })
	if len(s.all) >= maxSessions {
		s.all = slices.Delete(s.all, 0, 1+len(s.all)-maxSessions)
	}
	s.all = append(s.all, n)
	return secret
}

// find returns the session of a cookie, nil if there is none. The time that it takes says
// nothing about the cookies of others.
func (s *sessions) find(secret string, now time.Time) *session {
	id := sha256.Sum256([]byte(secret))
	s.mu.Lock()
	defer s.mu.Unlock()
	var found *session
	for _, o := range s.all {
		if subtle.ConstantTimeCompare(id[:], o.id[:]) == 1 && now.Before(o.until) {
			found = &o
		}
	}
	return found
}

// end ends the session of a cookie, if there is one.
func (s *sessions) end(secret string) {
	id := sha256.Sum256([]byte(secret))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(o session) bool { return subtle.ConstantTimeCompare(id[:], o.id[:]) == 1 })
}

// cookieName is the name of the cookie at the listener that r came in at: browsers show
// it at all ports of a host.
func cookieName(r *http.Request) string {
	return "slotsync-" + strconv.Itoa(int(localAddr(r).Port()))
}

// sessionOf is the session that r's cookie names, if it goes on: nil for none. A cookie
// that names none is no credential that is wrong: browsers keep them. Whoever else has
// got hold of one cannot use it as another user of this machine, nor, for a change, from
// another page.
func (g *Gate) sessionOf(r *http.Request) *session {
	c, err := r.Cookie(cookieName(r))
	if err != nil {
		return nil
	}
	found := g.sessions.find(c.Value, time.Now())
	if found == nil || found.uid != PeerOf(r).UID || IsChange(r) && !SameOrigin(r) {
		return nil
	}
	if proof, ok := g.proofOf(*found); !ok || proof != found.proof {
		g.sessions.end(c.Value)
		return nil
	}
	return found
}

// SameOrigin reports whether a browser says that r comes from a page of its own host;
// [Gate.CheckOrigin] looks at what it says.
func SameOrigin(r *http.Request) bool {
	return r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") == "same-origin"
}

// proofOf is what a session of the kind of n would be proved by now.
func (g *Gate) proofOf(n session) (proof [sha256.Size]byte, ok bool) {
	var known string
	switch {
	case n.user != "":
		f, err := readConfigFile(g.o.Config)
		if err != nil {
			return proof, false
		}
		known = f.Users[n.user]
	case n.who.May == Full:
		known = g.o.Token()
	default:
		known = g.o.ReadToken()
	}
	return sha256.Sum256([]byte(known)), known != ""
}

// recognize returns who signs in with a secret: the password of user, or a token where
// user is "".
func (g *Gate) recognize(r *http.Request, user, secret string) (n session, ok bool) {
	shown := r.Clone(r.Context())
	shown.Header = http.Header{}
	if user == "" {
		shown.Header.Set("Authorization", "Bearer "+secret)
	} else {
		shown.SetBasicAuth(user, secret)
	}
	c := credentials{authorization: shown.Header.Values("Authorization")}
	if user != "" {
		if g.toolkit.Load() == nil {
			return n, false
		}
		if c.user = g.askToolkit(shown, c).user; c.user == "" {
			return n, false
		}
	}
	n = session{who: g.authorize(c, Caller{}), uid: PeerOf(r).UID, user: c.user}
	n.who.SignedIn = true
	n.proof, ok = g.proofOf(n)
	return n, ok && n.who.May > None
}

// SignIn begins a session of who shows a secret: the password of user, or a token where
// user is "". The cookie is what the browser keeps of it.
func (g *Gate) SignIn(r *http.Request, user, secret string) (c *http.Cookie, ok bool) {
	n, ok := g.recognize(r, user, secret)
	if !ok {
		return nil, false
	}
	g.o.Log.Info("somebody has signed in on the page", "who", n.who.Name, "from", r.RemoteAddr)
	return cookie(r, g.sessions.add(n, time.Now()), sessionFor), true
}

// SignOut ends the session that r's cookie names. The cookie is what the browser forgets
// it by.
func (g *Gate) SignOut(r *http.Request) *http.Cookie {
	if c, err := r.Cookie(cookieName(r)); err == nil {
		g.sessions.end(c.Value)
	}
	return cookie(r, "", -time.Second)
}

// SignsInBy reports by what one can sign in now: a token, a password.
func (g *Gate) SignsInBy() (token, password bool) {
	asks, err := ReadConfig(g.o.Config)
	return g.o.Token() != "" || g.o.ReadToken() != "", err == nil && asks.Users
}

// cookie is what a browser keeps of a session. It is sent over TLS alone where the page
// came so, also through a proxy.
func cookie(r *http.Request, value string, keep time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: cookieName(r), Value: value, Path: "/", MaxAge: int(keep / time.Second),
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || strings.HasPrefix(r.Header.Get("Origin"), "https://"),
	}
}
