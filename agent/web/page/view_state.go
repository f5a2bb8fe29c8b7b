package page

import (
	"net/url"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
)

const (
	// manyBackends is beyond how many backends only their first lines are shown.
	manyBackends = 12
	// maxOpened bounds what one address can name.
	maxOpened = 500
)

// A viewState is what somebody wants to see of it all. It is the query of the page's
// address, so that it can be kept, sent, and used without JavaScript.
type viewState struct {
	filter  string
	trouble bool // only backends that somebody has to look at
	opened  []string
	closed  []string
}

func viewStateOf(q url.Values) viewState {
	return viewState{
		filter: api.Sanitize(q.Get("filter")), trouble: q.Get("trouble") != "",
		opened: q["open"][:min(len(q["open"]), maxOpened)], closed: q["close"][:min(len(q["close"]), maxOpened)],
	}
}

// href is the address of the page with that look.
func (l viewState) href() string {
	q := url.Values{"open": l.opened, "close": l.closed}
	if l.filter != "" {
		q.Set("filter", l.filter)
	}
	if l.trouble {
		q.Set("trouble", "1")
	}
	return "/?" + q.Encode()
}

// toggled is l with one backend open that is not, or the other way round. many says
// that backends are closed unless they are opened.
func (l viewState) toggled(backend string, open, many bool) viewState {
	without := func(list []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == backend })
	}
	l.opened, l.closed = without(l.opened), without(l.closed)
	switch {
	case open && !many:
		l.closed = append(l.closed, backend)
	case !open && many:
		l.opened = append(l.opened, backend)
	}
	return l
}

// open reports whether all of a backend is shown.
func (l viewState) open(backend string, many bool) bool {
	if many {
		return slices.Contains(l.opened, backend)
	}
	return !slices.Contains(l.closed, backend)
}

// matches reports whether a backend, or anything in it, bears the text.
func (l viewState) matches(b *api.BackendStatus) bool {
	if l.trouble && len(troubles(b)) == 0 {
		return false
	}
	want := strings.ToLower(strings.TrimSpace(l.filter))
	has := func(s string) bool { return strings.Contains(strings.ToLower(s), want) }
	if want == "" || has(b.Name) || has(b.Backend) {
		return true
	}
	return slices.ContainsFunc(b.Slots, func(s api.SlotStatus) bool {
		return s.Endpoint != "" && (has(s.Endpoint) || has(s.Title))
	})
}
