package haproxy

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/slotsync/slotsync/securedir"
)

// This file keeps what others have written into a state file for all backends: HAProxy
// reads one such file, and what it lacks there comes up as the configuration says, out of
// a maintenance that somebody wanted.

const (
	// maxStateFile bounds what is read of a file that others write, too.
	maxStateFile = 64 << 20
	// leastColumns is how many columns a line has in HAProxy 2.3 and before, mostColumns in
	// later ones.
	leastColumns, mostColumns = 20, 25
)

// otherLines are the lines of other backends than ours in the file at path. A line with
// which HAProxy would ignore the whole file is left out.
func (s *stateFile) otherLines(path string) ([]byte, error) {
	if w := s.files[path]; w != nil && w.untouched(path) {
		return s.foreign, nil
	}
	text, err := readRegular(path)
	if err != nil {
		return nil, err
	}
	s.foreign = nil
	if !bytes.HasPrefix(text, []byte("1\n")) {
		return nil, nil // HAProxy reads no other version
	}
	for line := range bytes.Lines(text[2:]) {
		words := bytes.Fields(line)
		whole := bytes.HasSuffix(line, []byte("\n")) && !bytes.HasSuffix(line, []byte("\r\n"))
		if !whole || len(words) < leastColumns || len(words) > mostColumns || words[0][0] == '#' {
			continue
		}
		if _, ours := s.lines[string(words[1])]; !ours {
			s.foreign = append(s.foreign, line...)
		}
	}
	return s.foreign, nil
}

// readRegular reads a regular file, and nothing behind a link; nil if there is none.
func readRegular(path string) ([]byte, error) {
	text, err := securedir.ReadFile(path, maxStateFile, unix.O_NOFOLLOW)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ELOOP):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("what others have written there would be lost: %w", err)
	}
	return text, nil
}
