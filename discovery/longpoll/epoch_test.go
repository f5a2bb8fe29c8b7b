package longpoll

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestEpochsDoNotEndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e epochs
		first, over := e.now()
		e.close(first)
		second, _ := e.now()
		if over.Err() == nil || second == first {
			t.Error("the first did not end")
		}
		e.close(first)
		e.close(second)
		if n, over := e.now(); n != second || over.Err() != nil {
			t.Error("the second ended at once")
		}
		time.Sleep(minEpoch)
		e.close(second)
		if n, _ := e.now(); n == second {
			t.Error("the second did not end")
		}
	})
}
