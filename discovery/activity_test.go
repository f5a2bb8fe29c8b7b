package discovery_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slotsync/slotsync/discovery"
)

func TestActivityOf(t *testing.T) {
	if got := discovery.ActivityOf(discovery.Static(nil)); !cmp.Equal(got, discovery.Activity{}) {
		t.Errorf("one that does not tell: %+v", got)
	}
	want := discovery.Activity{Question: "GET /", Asked: time.Unix(1, 0)}
	if got := discovery.ActivityOf(&member{activity: want}); !cmp.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestActivityAsJSON(t *testing.T) {
	at := time.Date(2030, 11, 21, 10, 0, 0, 0, time.UTC)
	tests := []struct {
		activity discovery.Activity
		want     string
	}{
		{discovery.Activity{}, `{}`},
		{discovery.Activity{Question: "SRV a. of 127.0.0.1:53", Asked: at, Answer: "NOERROR", Answered: at, Next: at, Remarks: []string{"partial"}},
			`{"question":"SRV a. of 127.0.0.1:53","asked":"2030-11-21T10:00:00Z","answer":"NOERROR","answered":"2030-11-21T10:00:00Z","next":"2030-11-21T10:00:00Z","remarks":["partial"]}`},
	}
	for _, test := range tests {
		raw, err := json.Marshal(test.activity)
		if err != nil || string(raw) != test.want {
			t.Errorf("%s, %v\nwant %s", raw, err, test.want)
		}
		var back discovery.Activity
		if err := json.Unmarshal(raw, &back); err != nil || !cmp.Equal(back, test.activity) {
			t.Errorf("back: %+v, %v", back, err)
		}
	}
}
