package daemon

import (
	"context"
	"log/slog"
	"strings"
	"testing"
)

// A line of the journal begins with its priority, and leaves the time to the journal.
func TestJournalHandler(t *testing.T) {
	for format, want := range map[string]string{
		"text": "<7>level=DEBUG msg=m s=x g.a=1\n<6>level=INFO msg=m s=x g.a=1\n<4>level=WARN msg=m s=x g.a=1\n<3>level=ERROR msg=m s=x g.a=1\n",
		"json": `<7>{"level":"DEBUG","msg":"m","s":"x","g":{"a":1}}` + "\n" + `<6>{"level":"INFO","msg":"m","s":"x","g":{"a":1}}` + "\n" +
			`<4>{"level":"WARN","msg":"m","s":"x","g":{"a":1}}` + "\n" + `<3>{"level":"ERROR","msg":"m","s":"x","g":{"a":1}}` + "\n",
	} {
		t.Run(format, func(t *testing.T) {
			var out strings.Builder
			log := slog.New(newJournalHandler(&out, format, slog.LevelDebug)).With("s", "x").WithGroup("g")
			for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
				log.Log(context.Background(), level, "m", "a", 1)
			}
			if out.String() != want {
				t.Errorf("%s\nwant\n%s", &out, want)
			}
		})
	}
	var out strings.Builder
	slog.New(newJournalHandler(&out, "text", slog.LevelWarn)).Info("m")
	if out.Len() > 0 {
		t.Errorf("below its level it writes %q", &out)
	}
}
