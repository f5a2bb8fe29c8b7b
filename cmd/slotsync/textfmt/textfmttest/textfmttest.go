// Package textfmttest tells tests whether what is shown would be obeyed by a terminal.
package textfmttest

import (
	"reflect"
	"strings"
	"testing"
)

// Obeyed is what a terminal obeys: clear it, write its title, and the same in one
// character each (ECMA-48, 8.3: CSI, OSC, ST), besides a cell and a line that end early.
const Obeyed = "x\x1b[2J\x1b]0;taken\x07\u009b2J\u009d0;taken\u009c\r\b\x7f\u202e\ty"

// Filled is a T with text in all of its texts, one of everything in its lists, six lists deep,
// and yes for each yes or no. Maps stay empty.
func Filled[T any](text string) (v T) {
	fill(reflect.ValueOf(&v).Elem(), text, 6)
	return v
}

func fill(v reflect.Value, text string, depth int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text, depth)
	case reflect.Slice:
		if depth > 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			fill(v.Index(0), text, depth-1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), text, depth)
			}
		}
	}
}

// CheckObeyed fails t if a terminal would obey anything in a text that shows [Obeyed], but
// that its lines end. what names the text.
func CheckObeyed(t *testing.T, what, text string) {
	t.Helper()
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == '\u202e' }); i >= 0 {
		t.Errorf("%s: a terminal would obey %q", what, text[max(0, i-60):min(len(text), i+60)])
	}
	if !strings.Contains(text, "2J") {
		t.Errorf("%s shows nothing of it:\n%s", what, text)
	}
}
