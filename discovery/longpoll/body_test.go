package longpoll

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// A counted reader notes how much of all is read.
type counted struct {
	io.Reader
	all *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.all.Add(int64(n))
	return n, err
}

type blanks struct{}

func (blanks) Read(p []byte) (int, error) { return len(p), nil }

// TestBodiesAreBoundedTogether: of many large answers at a time a few are in memory, the
// others follow, and a small one waits for none.
func TestBodiesAreBoundedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many, size, most = 60, 8 << 20, 64 << 20
		b := newBodies()
		var read atomic.Int64
		large := func() io.Reader { return counted{io.LimitReader(blanks{}, size), &read} }
		decoding, over, ended := make(chan int, many), make(chan struct{}), make(chan error, 2*many)
		decode := func(raw []byte) error {
			decoding <- len(raw)
			<-over
			return nil
		}
		for range many {
			go func() { ended <- b.read(t.Context(), large(), decode) }()
		}
		gone, leave := context.WithCancel(t.Context())
		for range many {
			go func() { ended <- b.read(gone, large(), decode) }()
		}
		synctest.Wait()
		if n := read.Load(); len(decoding) != largePlaces || n > most {
			t.Errorf("%d are decoded, and %d bytes are read, want %d and %d at most", len(decoding), n, largePlaces, most)
		}
		small := false
		if err := b.read(t.Context(), strings.NewReader("[]"), func(raw []byte) error { small = string(raw) == "[]"; return nil }); err != nil || !small {
			t.Errorf("a small one: %t, %v", small, err)
		}
		leave()
		close(over)
		done := 0
		for range 2 * many {
			if err := <-ended; err == nil {
				done++
			} else if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			for len(decoding) > 0 {
				if n := <-decoding; n != size {
					t.Errorf("%d bytes", n)
				}
			}
		}
		if done < many || len(b.middle)+len(b.large) > 0 {
			t.Errorf("%d of %d are read, %d places are kept", done, many, len(b.middle)+len(b.large))
		}
	})
}

func TestBodyIsBounded(t *testing.T) {
	decode := func([]byte) error { t.Error("half of it is decoded"); return nil }
	cut := errors.New("cut")
	if err := newBodies().read(t.Context(), io.MultiReader(strings.NewReader("a"), brokenReader{cut}), decode); !errors.Is(err, cut) {
		t.Errorf("%v", err)
	}
	if err := newBodies().read(t.Context(), blanks{}, decode); err == nil || !strings.Contains(err.Error(), "larger than 33554432 bytes") {
		t.Errorf("%v", err)
	}
}
