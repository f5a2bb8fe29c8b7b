package reload

import (
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// unified returns the diff of two texts in the format of "diff -u", "" if they are equal.
func unified(from, to, a, b string) string {
	text := string(diff.Diff(from, []byte(a), to, []byte(b)))
	return strings.TrimPrefix(text, "diff "+from+" "+to+"\n")
}
