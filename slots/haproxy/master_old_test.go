package haproxy

import "testing"

func TestParseConnections(t *testing.T) {
	for _, c := range []struct {
		text string
		want int
	}{
		{"Name: HAProxy\nCurrConns: 3\nCumConns: 9\n", 3},
		{"Name: HAProxy\nCurrConns: 0\n", 0},
		{"Can't find the target PID matching the prefix '@!9'\n", -1},
		{"CurrConns: many\n", -1},
		{"CurrConns: -1\n", -1},
		{"", -1},
	} {
		if n, err := parseConnections(c.text); (err != nil) != (c.want < 0) || err == nil && n != c.want {
			t.Errorf("%q: got %d, %v", c.text, n, err)
		}
	}
}
