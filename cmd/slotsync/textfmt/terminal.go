package textfmt

import (
	"os"

	"github.com/mattn/go-isatty"
)

// IsTerminal reports whether somebody may look at what is written there.
func IsTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}
