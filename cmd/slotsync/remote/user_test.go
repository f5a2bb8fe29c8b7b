package remote

import "testing"

func TestActor(t *testing.T) {
	for _, tt := range []struct{ uid, name, sudo, want string }{
		{"0", "root", "", "root"},
		{"0", "root", "ann", "ann"},
		{"1000", "ann", "", "ann"},
		{"1000", "ann", "bob", "ann"},
	} {
		if got := actor(tt.uid, tt.name, tt.sudo); got != tt.want {
			t.Errorf("%v: %q", tt, got)
		}
	}
}
