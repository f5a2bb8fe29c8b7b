package longpoll

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

func TestRetryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := retryBudget{rate.NewLimiter(rate.Every(10*time.Second), 2)}
		for i, want := range []bool{true, true, false} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			begin := time.Now()
			b.wait(ctx)
			cancel()
			if took := time.Since(begin); want && took > 300*time.Millisecond || !want && took != time.Minute {
				t.Errorf("time %d: it went on after %s", i, took)
			}
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		begin := time.Now()
		for range 100 { // who has left takes nothing from others
			b.wait(gone)
		}
		b.wait(t.Context())
		if took := time.Since(begin); took > 300*time.Millisecond {
			t.Errorf("it went on after %s", took)
		}
	})
}
