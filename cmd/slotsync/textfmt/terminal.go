package textfmt

import (
	"os"

	"github.com/mattn/go-isatty"
)

// What a terminal obeys (ECMA-48), all of it that the commands write by themselves: lipgloss
// styles text and moves no cursor, and package top alone has it.
const (
	WrapOff     = "\x1b[?7l"
	WrapOn      = "\x1b[?7h"
	LineUp      = "\x1b[A"
	ClearBelow  = "\r\x1b[J"
	ClearScreen = "\x1b[H\x1b[2J"
	Plain       = "\x1b[0m" // ends every style
)

// A Style is how text is set off.
type Style string

// The styles.
const (
	Bold   Style = "1"
	Dim    Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
)

// Paint sets text off, if there is any.
func (s Style) Paint(text string) string {
	if text == "" {
		return ""
	}
	return "\x1b[" + string(s) + "m" + text + Plain
}

// IsTerminal reports whether somebody may look at what is written there.
func IsTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}
