package haproxy

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/slots"
)

// Resolved returns the backends of asked, which has one server of each, in which HAProxy's
// own resolvers find the address of that server ("resolvers" on the server line, in
// "default-server" or in "defaults"; Configuration Manual, 5.3). They would write to the
// same slots as an agent. The dump shows that of SRV records alone. Of a host name it is
// found out, where there are resolvers at all, by giving the server the name that it has,
// which changes nothing and takes a socket of level admin; where nothing can be found out,
// nothing is returned.
func (c *Client) Resolved(ctx context.Context, asked map[string]slots.Server) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	found := map[string]bool{}
	var lines []fqdnLine
	for _, backend := range slices.Sorted(maps.Keys(asked)) {
		s := asked[backend]
		if s.Resolved {
			found[backend] = true
		} else if command, err := appendFQDN(nil, backend, s.Name, s.FQDN); err == nil {
			lines = addFQDN(lines, backend, command, c.lineLimit())
		}
	}
	if len(lines) == 0 {
		return found, nil
	}
	if any, err := c.resolves(ctx); err != nil || !any {
		return found, err
	}
	for _, l := range lines {
		if _, err := c.current(ctx); err != nil {
			return nil, err
		}
		a, err := c.ask(ctx, line{write: l.text, writes: len(l.backends)})
		if err != nil {
			return nil, err
		}
		if len(a.writes) != len(l.backends) {
			return nil, garbled(true, "%s: the answer to %q cannot be understood", c.at, l.text)
		}
		for i, reply := range a.writes {
			if isResolved(reply) {
				found[l.backends[i]] = true
			}
		}
	}
	return found, nil
}

// resolves reports whether HAProxy has resolvers that anybody uses: a section besides the
// one that it makes itself, or one that has asked something.
func (c *Client) resolves(ctx context.Context) (bool, error) {
	if _, err := c.current(ctx); err != nil {
		return false, err
	}
	a, err := c.ask(ctx, line{read: []byte("show resolvers"), reads: 1})
	if err != nil {
		return false, err
	}
	for l := range strings.SplitSeq(a.reads[0], "\n") {
		name, isSection := strings.CutPrefix(l, "Resolvers section ")
		sent, isSent := strings.CutPrefix(strings.TrimSpace(l), "sent:")
		if isSection && name != "default" || isSent && strings.TrimSpace(sent) != "0" {
			return true, nil
		}
	}
	return false, nil
}

// isResolved judges the reply to a host name that the server has already.
func isResolved(reply string) bool {
	return strings.HasPrefix(reply, "no need to change the F") || strings.Contains(reply, "because SRV resolution is configured")
}

// A fqdnLine is a line of commands about one server of each of these backends.
type fqdnLine struct {
	text     []byte
	backends []string
}

func addFQDN(lines []fqdnLine, backend string, command []byte, limit int) []fqdnLine {
	if n := len(lines); n > 0 && len(lines[n-1].text)+1+len(command) <= limit {
		l := &lines[n-1]
		l.text, l.backends = append(append(l.text, ';'), command...), append(l.backends, backend)
		return lines
	}
	return append(lines, fqdnLine{command, []string{backend}})
}

// appendFQDN gives a server a host name. What is none is not sent.
func appendFQDN(b []byte, backend, server, fqdn string) ([]byte, error) {
	if err := slots.CheckName(fqdn); err != nil {
		return b, err
	}
	return appendServer(b, "set server", backend, server, " fqdn %s", fqdn)
}
