package haproxytest_test

import (
	"io"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

func TestLinger(t *testing.T) {
	for _, version := range haproxytest.Versions {
		t.Run(version, func(t *testing.T) {
			p := haproxytest.Start(t, haproxytest.Config{Version: version, Master: true, Backends: []haproxytest.Backend{{Name: "web", Slots: 2}}})
			old, release := p.Linger()
			if old == 0 || old != p.Worker() {
				t.Errorf("got %d, want %d", old, p.Worker())
			}
			p.Reload()
			if got := p.AskWorker(old, "set server web/web1 state ready"); got != "Proxy is disabled.\n\n" {
				t.Errorf("the old worker says %q", got)
			}
			release()
			release()
		})
	}
}

func TestWire(t *testing.T) {
	f := haproxytest.NewFake(t, "3.2", haproxytest.Backend{Name: "web", Slots: 1})
	heard := make(chan []haproxytest.Exchange, 2)
	w := haproxytest.NewWire(t, f.Socket, func(said []haproxytest.Exchange) { heard <- said })
	conn := dial(t, w.Socket)
	for _, line := range []string{"prompt;get weight web/web1\n", "show cli level\n"} {
		if _, err := io.WriteString(conn, line); err != nil {
			t.Fatal(err)
		}
		readUntil(t, conn, "\n> ")
	}
	conn.Close()
	said := <-heard
	if len(said) != 2 || said[0].Asked != "prompt;get weight web/web1\n" || !strings.HasSuffix(said[0].Answered, "100 (initial 100)\n\n> ") ||
		said[1].Asked != "show cli level\n" || said[1].Answered != "admin\n\n> " || said[1].Sent.Before(said[0].Sent) {
		t.Errorf("got %+v", said)
	}
}
