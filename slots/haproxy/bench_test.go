package haproxy_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// Each round gives n parked slots another address. "raw" is what the bytes of
// the same commands cost on the same socket, without a look at the answers.
func benchmarkApply(b *testing.B, n int) {
	for _, version := range haproxytest.Versions {
		p := haproxytest.Start(b, haproxytest.Config{Version: version, Backends: []haproxytest.Backend{{Name: "web", Slots: n}}})
		b.Run(version+"/apply", func(b *testing.B) {
			c := client(b, p.Socket)
			v, err := c.View(b.Context(), []string{"web"}, false)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				applyRound(b, c, v, i)
			}
		})
		b.Run(version+"/raw", func(b *testing.B) {
			i := 0
			for b.Loop() {
				i++
				for _, line := range rawRound(n, i) {
					raw(b, p.Socket, line)
				}
			}
		})
		p.Kill()
	}
}

func BenchmarkApply1(b *testing.B)    { benchmarkApply(b, 1) }
func BenchmarkApply1000(b *testing.B) { benchmarkApply(b, 1000) }

func benchAddr(slot, round int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(round), byte(slot >> 8), byte(slot)}), 80)
}

func applyRound(b *testing.B, c *haproxy.Client, v slots.View, round int) {
	changes := make([]slots.Change, 0, len(v.Servers["web"]))
	for i, s := range v.Servers["web"] {
		changes = append(changes, slots.Change{Backend: "web", Slot: s.Name, Addr: benchAddr(i, round), Weight: 100,
			Class: slots.Maint, SetClass: true, From: s})
	}
	out, err := c.Apply(b.Context(), v.Process, changes)
	if err != nil || len(out.Refusals) != 0 {
		b.Fatal(err, out.Refusals)
	}
}

// rawRound is the lines that such a round has to send at the least.
func rawRound(n, round int) []string {
	var lines []string
	var line strings.Builder
	flush := func() {
		lines = append(lines, line.String()+"show info\n")
		line.Reset()
	}
	for _, form := range []string{"addr", "rest"} {
		for i := range n {
			if line.Len() > 14_800 {
				flush()
			}
			if form == "addr" {
				fmt.Fprintf(&line, "set server web/web%d addr %s port 80;", i+1, benchAddr(i, round+128).Addr())
			} else {
				fmt.Fprintf(&line, "set server web/web%d weight 100;set server web/web%d state maint;", i+1, i+1)
			}
		}
		if form == "rest" {
			line.WriteString("show servers state web;")
		}
		flush()
	}
	return lines
}

func raw(b *testing.B, socket, line string) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, line); err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		b.Fatal(err)
	}
}
