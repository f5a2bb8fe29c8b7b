package haproxy

import (
	"io"
	"net"
	"strings"
	"testing"
)

// talk returns the answer to a first line of so many commands if HAProxy sends
// these pieces.
func talk(t *testing.T, commands int, pieces ...string) (raw, sent string, s *session, err error) {
	t.Helper()
	here, there := net.Pipe()
	defer here.Close()
	heard := make(chan string, 1)
	go func() {
		defer there.Close()
		buf := make([]byte, 1<<10)
		n, _ := there.Read(buf)
		heard <- string(buf[:n])
		for _, p := range pieces {
			if _, err := io.WriteString(there, p); err != nil {
				return
			}
		}
	}()
	s = &session{conn: here}
	raw, err = s.exchange([]byte("a;b\n"), commands, 1<<10)
	return raw, <-heard, s, err
}

// A prompt after every command or after every line, however the answer is torn:
// what comes out is what a connection without prompts gets.
func TestSessionTakesPromptsAway(t *testing.T) {
	for _, answer := range []string{"\n> one\n\n> two\nlines\n\n> ", "\none\n\ntwo\nlines\n\n> "} {
		for cut := 1; cut < len(answer); cut++ {
			raw, sent, s, err := talk(t, 2, answer[:cut], answer[cut:])
			if err != nil || raw != "one\n\ntwo\nlines\n\n" || sent != "prompt;a;b\n" || s.closed {
				t.Fatalf("%q and %q: got %q, sent %q, closed %v, %v", answer[:cut], answer[cut:], raw, sent, s.closed, err)
			}
		}
	}
}

func TestSessionThatEnds(t *testing.T) {
	raw, _, s, err := talk(t, 2, "\n> one\n\n> tw")
	if err != nil || raw != "one\n\ntw" || !s.closed {
		t.Errorf("got %q, closed %v, %v", raw, s.closed, err)
	}
	if _, _, _, err := talk(t, 2, "\n> ", strings.Repeat("x", 1<<10)); err != boundError("the answer has more than 1024 bytes") {
		t.Errorf("got %v", err)
	}
	if _, _, _, err := talk(t, 1, "\nmaster> "); err != errMaster {
		t.Errorf("got %v", err)
	}
}
