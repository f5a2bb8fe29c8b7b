package slots_test

import (
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"

	"github.com/slotsync/slotsync/slots"
)

func TestExchangeCopy(t *testing.T) {
	answer := strings.Repeat("x", 1<<16) + "set server b/s1 state ready"
	e := slots.Exchange{Backend: answer[:1], Slot: answer[:2], Command: answer[1<<16:], Reply: "a\nb\x1b[31m" + answer, Answered: true}
	c := e.Copy()
	if c.Command != e.Command || c.Slot != e.Slot || c.Backend != e.Backend || !c.Answered {
		t.Errorf("got %+v", c)
	}
	if !strings.HasPrefix(c.Reply, "a.b.[31mxxx") || utf8.RuneCountInString(c.Reply) != 201 {
		t.Errorf("the reply is %q", c.Reply)
	}
	if unsafe.StringData(c.Command) == unsafe.StringData(e.Command) || unsafe.StringData(c.Slot) == unsafe.StringData(e.Slot) {
		t.Error("it keeps the whole answer")
	}
}
