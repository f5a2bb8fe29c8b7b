package reload

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/slotsync/slotsync/securedir"
)

// Files say what is on disk of one configuration now.
type Files struct {
	// Tag changes with the file and with the template that it is rendered from; "" if
	// the file cannot be read.
	Tag string
	// ByHand: the file is not what was put in place last, so that a rendering is refused
	// unless somebody insists.
	ByHand bool
}

// seenFiles is what was read last, and by what it is known that it would be read again.
type seenFiles struct {
	stamp string
	files Files
}

// Files looks at the file, the template and the journal. It reads them only where one of
// them has changed.
func (t *Transaction) Files() Files {
	var stamps []string
	for _, path := range []string{t.o.File, t.o.Template, t.journalPath()} {
		stamps = append(stamps, stamp(path))
	}
	now := strings.Join(stamps, " ")
	t.seenMu.Lock()
	defer t.seenMu.Unlock()
	if now != t.seen.stamp {
		t.seen = seenFiles{now, t.readFiles()}
	}
	return t.seen.files
}

func (t *Transaction) readFiles() Files {
	_, tag, err := t.Show()
	if err != nil {
		return Files{}
	}
	f := Files{Tag: tag}
	if t.Renders() {
		template, _ := securedir.ReadFile(t.o.Template, maxFile, 0) // none is another one than any
		f.Tag = sum([]byte(tag + sum(template)))
		f.ByHand, _ = t.ChangedByHand() // a journal that cannot be read is the next reload's fault
	}
	return f
}

// stamp changes with what is at path, as far as can be known without reading it.
func stamp(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "-"
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprint(s.Dev, s.Ino, s.Size, s.Mtim, s.Ctim)
	}
	return fmt.Sprint(info.Size(), info.ModTime())
}
