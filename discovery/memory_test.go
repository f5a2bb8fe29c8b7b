package discovery_test

import (
	"bytes"
	"testing"

	"github.com/slotsync/slotsync/discovery"
)

// A remembering source keeps text, and counts what operators accept.
type remembering struct {
	confirming
	text     []byte
	reminded int
	accepted int
}

func (r *remembering) Memory() []byte       { return r.text }
func (r *remembering) Remember(text []byte) { r.text, r.reminded = text, r.reminded+1 }
func (r *remembering) Accept()              { r.accepted++ }

func TestMemory(t *testing.T) {
	src := &remembering{}
	if got := discovery.MemoryOf(src); got != nil {
		t.Errorf("it has learnt %q", got)
	}
	src.text = bytes.Repeat([]byte("x"), discovery.MaxMemory)
	most := discovery.MemoryOf(src)
	if !bytes.Equal(most, src.text) {
		t.Errorf("%d bytes of %d", len(most), len(src.text))
	}
	src.text = append(src.text, 'x')
	tooMuch := src.text
	if got := discovery.MemoryOf(src); got != nil {
		t.Errorf("it has learnt %d bytes", len(got))
	}
	after := &remembering{}
	for _, text := range [][]byte{nil, {}, tooMuch} {
		if discovery.Remind(after, text); after.reminded != 0 {
			t.Errorf("it was reminded of %d bytes", len(text))
		}
	}
	if discovery.Remind(after, most); after.reminded != 1 || !bytes.Equal(discovery.MemoryOf(after), most) {
		t.Error("it was not reminded of what was kept")
	}
	// One that keeps nothing is not asked to.
	if got := discovery.MemoryOf(discovery.Static(nil)); got != nil {
		t.Errorf("%q", got)
	}
	discovery.Remind(discovery.Static(nil), most)
}

func TestAccept(t *testing.T) {
	src := &remembering{}
	discovery.Accept(src)
	discovery.Accept(discovery.Static(nil))
	if src.accepted != 1 {
		t.Errorf("it was told %d times", src.accepted)
	}
}
