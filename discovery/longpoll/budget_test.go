package longpoll

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

const testQueries, testReads = 92, 8

// TestReadsDoNotWaitForEver has more sources ask than an agent that hangs answers.
func TestReadsDoNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget("X", testQueries, testReads)
		for range testReads {
			if _, err := b.read(t.Context(), true); err != nil {
				t.Fatal(err)
			}
		}
		begun := time.Now()
		if _, err := b.read(t.Context(), true); discovery.ClassOf(err) != discovery.Transport || time.Since(begun) != patience {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		if leave, err := b.read(t.Context(), false); err != nil {
			t.Errorf("over HTTP/2: %v", err)
		} else {
			leave()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.read(ctx, true); err != context.DeadlineExceeded {
			t.Errorf("ended: %v", err)
		}
		b.cooldown.begin()
		begun = time.Now()
		if leave, err := b.read(t.Context(), false); err != nil || time.Since(begun) < cooldownFor*4/5 || time.Since(begun) > cooldownFor*7/5 {
			t.Errorf("cooldown: %v after %s", err, time.Since(begun))
		} else {
			leave()
		}
	})
}

func TestPlaceEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget("X", testQueries, testReads)
		ctx, cancel := context.WithCancel(t.Context())
		p, other := b.acquire(ctx), b.acquire(t.Context())
		if !p.held() || !other.held() || len(b.queries) != 2 || (*place)(nil).held() {
			t.Error("no place is held")
		}
		cancel()
		synctest.Wait()
		p.release()
		if p.held() || !other.held() || len(b.queries) != 1 {
			t.Errorf("%d places are taken", len(b.queries))
		}
		other.release()
		for range testQueries {
			if b.acquire(t.Context()) == nil {
				t.Fatal("no place")
			}
		}
		if b.acquire(t.Context()) != nil {
			t.Error("a place too many")
		}
	})
}
