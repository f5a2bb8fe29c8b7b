package file

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/slotsync/slotsync/discovery"
)

var _ discovery.Diagnoser = (*Source)(nil)

// maxTold bounds the files that a diagnosis names.
const maxTold = 20

// Diagnose implements [discovery.Diagnoser]: it names the files, and says when
// each was changed and how much of the service it holds.
func (s *Source) Diagnose(ctx context.Context) []discovery.Finding {
	seen, err := s.files.read(ctx, false)
	if err == nil {
		seen, err = s.files.settled(ctx, seen, s.query.mayBeHalfWritten)
	}
	if err == nil {
		err = seen.err
	}
	if err != nil {
		return []discovery.Finding{{Verdict: discovery.Faulty, Text: err.Error()}}
	}
	var out []discovery.Finding
	add := func(verdict, format string, args ...any) {
		out = append(out, discovery.Findingf(verdict, format, args...))
	}
	if seen.listErr != nil {
		add(discovery.Faulty, "there may be more files: %s", seen.listErr)
	}
	for i, v := range seen.files {
		if i == maxTold {
			add(discovery.Fine, "%s more", discovery.Count(len(seen.files)-i, "file"))
			break
		}
		name, n := discovery.Printable(v.name, 60), s.query.holds(v)
		if v.why != "" {
			add(discovery.Dubious, "%s, %s of this service: %s", name, discovery.Count(n, "target"), v.why)
			continue
		}
		add(discovery.Fine, "%s, %s of this service%s", name, discovery.Count(n, "target"), s.files.changedAt(v.name, time.Now()))
	}
	return out
}

func (q Query) holds(v view) int {
	n := 0
	for _, i := range v.items {
		if q.wants(i) {
			n++
		}
	}
	return n
}

// changedAt says when a file was changed; "" if that is not known.
func (f *Files) changedAt(name string, now time.Time) string {
	info, err := os.Stat(filepath.Join(f.dir, name))
	if err != nil {
		return ""
	}
	at := info.ModTime()
	return fmt.Sprintf(", changed %s (%s ago)", at.Format(time.DateTime), now.Sub(at).Round(time.Second))
}
