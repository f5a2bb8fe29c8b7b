package main

import (
	"os"

	"github.com/mattn/go-isatty"
)

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}
