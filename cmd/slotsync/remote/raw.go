package remote

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// Lines returns what reads the next line of in, without the space around it: io.EOF when in has
// ended, and the error of ctx when that is over, even while in is silent.
func Lines(ctx context.Context, in io.Reader) func() (string, error) {
	lines, failed := make(chan string), make(chan error, 1)
	go func() {
		read := bufio.NewScanner(in)
		for read.Scan() {
			select {
			case lines <- strings.TrimSpace(read.Text()):
			case <-ctx.Done():
				return
			}
		}
		failed <- cmp.Or(read.Err(), io.EOF)
	}()
	return func() (string, error) {
		select {
		case line := <-lines:
			return line, nil
		case err := <-failed:
			return "", err
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// CheckRaw refuses a line of commands that is empty, and one that may write and was not meant to.
func CheckRaw(line string, yes bool) error {
	switch {
	case strings.TrimSpace(line) == "":
		return config.Usagef("raw takes a command, as in: slotsync haproxy raw show pools")
	case !yes && !api.OnlyShows(line):
		return config.Usagef("%q may change something: add --yes if that is meant", textfmt.Clip(line))
	}
	return nil
}
