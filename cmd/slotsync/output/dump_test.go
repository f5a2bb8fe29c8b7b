package output

import (
	"bytes"
	"testing"
)

// TestRawIsHarmless, also through a pipe: what HAProxy answers may hold what clients sent.
func TestRawIsHarmless(t *testing.T) {
	const evil = "a\x1b]0;taken\x07\x1b[2J\r\u009b31m\x00\tb\nc\n\n"
	for asTheyCame, want := range map[bool]string{false: "a.]0;taken..[2J..31m.\tb\nc\n", true: "a\x1b]0;taken\x07\x1b[2J\r\u009b31m\x00\tb\nc\n"} {
		var out bytes.Buffer
		if err := WriteAnswers(&out, []Answer[string]{{Instance: "edge-1", Value: evil}}, asTheyCame); err != nil || out.String() != want {
			t.Errorf("%t: %q, %v", asTheyCame, out.String(), err)
		}
	}
}
