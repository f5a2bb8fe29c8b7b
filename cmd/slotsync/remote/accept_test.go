package remote

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/agent/api"
)

func TestAskID(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	one := []api.Acceptable{{ID: "h1a2b3", Kind: "empty", Since: at, Reason: "the source\nlists nothing", Endpoints: []string{"10.0.0.1:80", "10.0.0.2:80"}}}
	two := append(one, api.Acceptable{ID: "k1a2b3", Kind: api.Kept, Since: at, Reason: "dns, AAAA of web: SERVFAIL\x1b", Endpoints: []string{"[fd00::1]:80"}})
	const first = "h1a2b3  empty for 14h: the source; lists nothing\n    10.0.0.1:80 would go\n    10.0.0.2:80 would go\n"
	const second = "\nk1a2b3  kept for 14h: dns, AAAA of web: SERVFAIL.\n    [fd00::1]:80 would go\n"
	for _, tt := range []struct {
		name     string
		list     []api.Acceptable
		said     string
		id, fail string
	}{
		{"yes", one, "y\n", "h1a2b3", ""},
		{"yes in capitals", one, "YES\n", "h1a2b3", ""},
		{"by its id", one, "h1a2b3\n", "h1a2b3", ""},
		{"no", one, "n\n", "", "nothing is accepted"},
		{"nothing", one, "\n", "", "nothing is accepted"},
		{"the end", one, "", "", "nothing is accepted"},
		{"something else", one, "h999999\n", "", `nothing is accepted: "h999999" is none of h1a2b3 (empty, 2 endpoints)`},
		{"one of two", two, "k1a2b3\n", "k1a2b3", ""},
		{"yes to two", two, "y\n", "", `nothing is accepted: "y" is none of h1a2b3 (empty, 2 endpoints), k1a2b3 (kept, 1 endpoint)`},
		{"neither", two, "\n", "", "nothing is accepted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			id, err := askID(t.Context(), strings.NewReader(tt.said), &out, tt.list, at.Add(14*time.Hour))
			got := ""
			if err != nil {
				got = err.Error()
			}
			if id != tt.id || got != tt.fail {
				t.Errorf("%q, %q; want %q, %q", id, got, tt.id, tt.fail)
			}
			want := first + "\nLet them go? [y/N] "
			if len(tt.list) > 1 {
				want = first + second + "\nWhich of them? (an id; nothing: none) "
			}
			if diff := cmp.Diff(want, out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
