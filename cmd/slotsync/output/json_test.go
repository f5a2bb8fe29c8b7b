package output

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode"
)

func FuzzWriteIndented(f *testing.F) {
	for _, text := range []string{"", "a", "x\x1b[2J\x1b]0;taken\x07\u009b2J\u009d0;taken\u009c\r\b\x7f\u202e\ty", "\xff", "𝄞", "\U000e0001", "\\u001b", "<&>\u2028"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var b bytes.Buffer
		want, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := WriteIndented(&b, text, "  "); err != nil {
			t.Fatal(err)
		}
		var got, same string
		if json.Unmarshal(b.Bytes(), &got) != nil || json.Unmarshal(want, &same) != nil || got != same {
			t.Errorf("%q is written as %s", text, b.Bytes())
		}
		for _, r := range b.String() {
			if !unicode.IsPrint(r) && r != '\n' {
				t.Errorf("%q is written with %U, which a terminal may obey", text, r)
			}
		}
	})
}
