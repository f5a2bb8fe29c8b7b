package consul

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/discovery/consul/consultest"
)

// TestC23NobodyIsTold rebuilds a cluster behind an agent that hands blocking
// queries on to it: those wait for an index that is far away, and the first that
// notices has all others ask plainly.
func TestC23NobodyIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := consultest.NewFake(t)
		f.SetIndex(10_000)
		watches := startMany(t, f, fakeClient(t, f, Options{PollInterval: 5 * time.Second}), queries+20)
		for range 2 {
			time.Sleep(20 * time.Second)
			for i := range watches {
				f.Set(service(i), consultest.Instances(4)...)
			}
			time.Sleep(20 * time.Second)
			if count, err := late(watches, 4); count > 0 || err != nil {
				t.Fatalf("%d are not current: %v", count, err)
			}
			before := len(f.Requests())
			for i := range watches {
				f.SetQuietly(service(i), consultest.Instances(5)...)
			}
			f.SetIndex(7)
			currentWithin(t, watches, 5, 8*time.Second)
			if n := len(f.Requests()) - before; n > 4*len(watches) {
				t.Errorf("%d requests for %d watches", n, len(watches))
			}
			for i := range watches {
				f.Set(service(i), consultest.Instances(3)...)
			}
			currentWithin(t, watches, 3, 8*time.Second)
			time.Sleep(time.Minute)
			f.SetIndex(20_000)
		}
	})
}
