package demo

import (
	"io"
	"strings"
	"sync"
	"time"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// plainPace is how often the state is printed where it cannot be refreshed in
// place: three lines each time, so two lines a second.
const plainPace = 1500 * time.Millisecond

// A screen shows lines that stay, and below them, on a terminal, a state
// that is redrawn. It may be used by several goroutines.
type screen struct {
	Style style

	mu    sync.Mutex
	out   io.Writer
	live  bool
	state []string // drawn at the end
	shown time.Time
	film  *film // nil: none is made
	bare  bool  // out has no colours, and Style has
}

// newScreen writes to out. noColour is the environment's wish (NO_COLOR,
// see no-color.org).
func newScreen(out io.Writer, noColour bool) *screen {
	live := textfmt.IsTerminal(out)
	return &screen{out: out, live: live, Style: style{Colour: live && !noColour}}
}

// Say prints lines that stay.
func (s *screen) Say(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.film != nil {
		s.film.say(lines, time.Now())
	}
	s.write(s.erase() + strings.Join(lines, "\n") + "\n" + s.draw())
}

// Show replaces the state. Where it cannot be replaced it is printed, and only
// if it was not a moment ago.
func (s *screen) Show(state []string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.film != nil {
		s.film.show(state, now)
	}
	if s.live {
		erase := s.erase()
		s.state = state
		s.write(erase + s.draw())
		return
	}
	if now.Sub(s.shown) >= plainPace {
		s.shown = now
		s.write(strings.Join(state, "\n") + "\n")
	}
}

// Record begins a film of what is shown from now on. It has colours, whatever out has.
func (s *screen) Record() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.film = &film{began: time.Now()}
	s.bare, s.Style.Colour = !s.Style.Colour, true
}

// Leave makes the state stay: what comes next is printed below it.
func (s *screen) Leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = nil
}

func (s *screen) erase() string {
	if len(s.state) == 0 {
		return ""
	}
	return strings.Repeat(textfmt.LineUp, len(s.state)) + textfmt.ClearBelow
}

// draw shows the state with wrapping off, so that a line is one row however narrow the
// terminal is.
func (s *screen) draw() string {
	if len(s.state) == 0 {
		return ""
	}
	return textfmt.WrapOff + strings.Join(s.state, "\n") + "\n" + textfmt.WrapOn
}

// write has nobody to report to: a demo whose output is gone is still to clean
// up behind itself.
func (s *screen) write(text string) {
	if s.bare {
		text = plain(text)
	}
	_, _ = io.WriteString(s.out, text)
}
