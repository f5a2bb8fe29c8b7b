package dns

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

// TestDetours is about names that are asked for over TCP for a while.
func TestDetours(t *testing.T) {
	cases := []struct {
		name   string
		udp    func(q *wire.Msg) (*wire.Msg, error)
		last   time.Duration
		remark string
	}{
		{"truncated", func(q *wire.Msg) (*wire.Msg, error) {
			m := answer(q)
			m.Truncated = true
			return m, nil
		}, 10 * time.Minute, "its answers do not fit into UDP"},
		{"D2 flooded", func(*wire.Msg) (*wire.Msg, error) {
			return nil, discovery.Errorf(discovery.Protocol, "%w", errJunk)
		}, time.Minute, "false answers came over UDP"},
		{"D5 cut", func(*wire.Msg) (*wire.Msg, error) {
			return nil, discovery.Errorf(discovery.Protocol, "%w", errCounts)
		}, 0, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var networks []string
				s := scripted(t, nil, one)
				s.client.exchange = func(_ context.Context, network, _ string, q *wire.Msg) (*wire.Msg, error) {
					networks = append(networks, network)
					if network == "udp" {
						return c.udp(q)
					}
					return answer(q, "x.test. 30 IN A 10.0.0.1"), nil
				}
				begin := time.Now()
				next(t, s)
				if got := strings.Join(s.Activity().Remarks, ""); (got == "") != (c.remark == "") || !strings.HasSuffix(got, c.remark) {
					t.Errorf("remarks %q", got)
				}
				networks = nil
				for len(networks) == 0 || !slices.Contains(networks, "udp") {
					next(t, s)
				}
				if d := time.Since(begin); d < c.last || d > c.last+40*time.Second {
					t.Errorf("asked over UDP again after %v, want %v", d, c.last)
				}
			})
		})
	}
}

// TestD7DetourThatLeadsNowhere: where TCP has stopped to work, an answer that fits
// into UDP by now is not lost.
func TestD7DetourThatLeadsNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		truncated, tcp := true, true
		s := scripted(t, func(network, _ string, q *wire.Msg) *wire.Msg {
			if network == "tcp" && !tcp {
				return nil
			}
			m := answer(q, "x.test. 30 IN A 10.0.0.1")
			m.Truncated = truncated && network == "udp"
			return m
		}, one)
		wantStrong(t, next(t, s), "10.0.0.1:80")
		tcp = false
		wantError(t, s, discovery.Transport) // truncated over UDP, nothing over TCP
		truncated = false
		wantStrong(t, next(t, s), "10.0.0.1:80")
	})
}
