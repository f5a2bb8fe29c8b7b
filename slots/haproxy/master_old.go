package haproxy

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Sessions returns how many connections a worker has, as its own "show info"
// says. Of an old one they are those that it waits for.
func (m *Master) Sessions(ctx context.Context, pid int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	raw, err := m.ask(ctx, fmt.Sprintf("@!%d show info", pid), false)
	if err != nil {
		return 0, err
	}
	n, err := parseConnections(raw)
	if err != nil {
		return 0, garbled(false, "%s: worker %d: %w", m.at, pid, err)
	}
	return n, nil
}

// parseConnections understands the answer to "show info", as far as connections
// go.
func parseConnections(text string) (int, error) {
	for line := range strings.SplitSeq(text, "\n") {
		if v, ok := strings.CutPrefix(line, "CurrConns: "); ok {
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 {
				return 0, fmt.Errorf("show info: CurrConns: %q is no number", printable(v))
			}
			return n, nil
		}
	}
	return 0, errors.New("show info: no CurrConns: has it ended?")
}
