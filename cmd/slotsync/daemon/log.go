package daemon

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
)

// newLogger writes to w as text or, if format says so, as JSON; for systemd's journal with
// priorities.
func newLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	if IsJournal(w) {
		return slog.New(newJournalHandler(w, format, level))
	}
	return slog.New(newHandler(w, format, level))
}

func newHandler(w io.Writer, format string, level slog.Leveler) slog.Handler {
	options := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// ErrorPriority begins a line of systemd's journal that says what went wrong
// (sd-daemon(3)).
const ErrorPriority = "<3>"

// journalPriorities are those of errors, warnings, information and the rest.
var journalPriorities = [...]string{ErrorPriority, "<4>", "<6>", "<7>"}

// IsJournal reports whether w is standard error and goes to systemd's journal.
func IsJournal(w io.Writer) bool {
	if w != os.Stderr {
		return false
	}
	is, err := journal.StderrIsJournalStream()
	return is && err == nil
}

// A journalHandler has a handler for each priority. The time of a record is the journal's.
type journalHandler [len(journalPriorities)]slog.Handler

func newJournalHandler(w io.Writer, format string, level slog.Leveler) slog.Handler {
	var h journalHandler
	for i := range h {
		h[i] = newHandler(&prefixed{journalPriorities[i], w}, format, level)
	}
	return h
}

func (h journalHandler) of(level slog.Level) slog.Handler {
	switch {
	case level >= slog.LevelError:
		return h[0]
	case level >= slog.LevelWarn:
		return h[1]
	case level >= slog.LevelInfo:
		return h[2]
	}
	return h[3]
}

// Enabled reports whether records of that level are written.
func (h journalHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.of(level).Enabled(ctx, level)
}

// Handle writes one record.
func (h journalHandler) Handle(ctx context.Context, r slog.Record) error {
	r.Time = time.Time{}
	return h.of(r.Level).Handle(ctx, r)
}

// WithAttrs returns a handler that adds attributes to each record.
func (h journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for i := range h {
		h[i] = h[i].WithAttrs(attrs)
	}
	return h
}

// WithGroup returns a handler that puts what follows into a group.
func (h journalHandler) WithGroup(name string) slog.Handler {
	for i := range h {
		h[i] = h[i].WithGroup(name)
	}
	return h
}

// A prefixed writer begins whatever is written at once with the same text.
type prefixed struct {
	prefix string
	to     io.Writer
}

// Write writes p after the prefix, in one step.
func (w *prefixed) Write(p []byte) (int, error) {
	if _, err := w.to.Write(append([]byte(w.prefix), p...)); err != nil {
		return 0, err
	}
	return len(p), nil
}
