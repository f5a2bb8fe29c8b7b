package doctor

import (
	"bytes"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/slotsync/slotsync/securedir"
	"github.com/slotsync/slotsync/slots/reload"
)

// A ConfigFile is one file of HAProxy's configuration.
type ConfigFile struct {
	Path string
	Text []byte
}

// A section is one of HAProxy's configuration (Configuration Manual, 2). Its lines begin
// with those of the defaults that hold for it.
type section struct {
	place
	kind, name string
	lines      []directive
}

// A place is where something stands.
type place struct {
	file string
	line int // from 1
}

// A directive is one line of a section.
type directive struct {
	place
	words []string // at least one
}

// arg returns the word at i, "" if there are not so many.
func (d directive) arg(i int) string {
	if i < len(d.words) {
		return d.words[i]
	}
	return ""
}

// after returns the word after key, and whether key is there.
func (d directive) after(key string) (string, bool) {
	i := slices.Index(d.words, key)
	if i < 0 {
		return "", false
	}
	return d.arg(i + 1), true
}

// readSections cuts the files of one configuration, in the order in which HAProxy reads them,
// into sections. A proxy has the defaults that it names, or the last ones before it, in an
// earlier file too; other defaults are only had by those who name them.
func readSections(files ...ConfigFile) []section {
	r := sectionReader{types: reload.SectionTypes(), named: map[string][]directive{}}
	for _, f := range files {
		r.read(f)
	}
	return r.all
}

// A sectionReader has what was read of a configuration.
type sectionReader struct {
	types []string
	all   []section
	last  []directive            // of the defaults that were read last
	named map[string][]directive // of those with a name
}

// read adds a file, which begins in no section (Management Guide, 3, "-f").
func (r *sectionReader) read(f ConfigFile) {
	begun, n := false, 0
	for raw := range bytes.Lines(f.Text) {
		n++
		line, _, _ := strings.Cut(string(raw), "#")
		d := directive{place{f.Path, n}, strings.Fields(line)}
		switch {
		case len(d.words) == 0:
		case slices.Contains(r.types, d.words[0]):
			begun = true
			r.begin(d)
		case begun:
			s := &r.all[len(r.all)-1]
			s.lines = append(s.lines, d)
		}
	}
	r.end()
}

// begin begins the section that d names.
func (r *sectionReader) begin(d directive) {
	r.end()
	s := section{place: d.place, kind: d.words[0], name: reload.SectionName(d.words)}
	from, has := d.after("from")
	switch {
	case has:
		s.lines = slices.Clone(r.named[from])
	case slices.Contains([]string{"backend", "listen", "frontend"}, s.kind):
		s.lines = slices.Clone(r.last)
	}
	r.all = append(r.all, s)
}

// end notes the section before, if it has defaults.
func (r *sectionReader) end() {
	if len(r.all) == 0 {
		return
	}
	if s := r.all[len(r.all)-1]; s.kind == "defaults" {
		r.last = s.lines
		if s.name != "" {
			r.named[s.name] = s.lines
		}
	}
}

// last returns the last directive that begins with these words.
func (s section) last(words ...string) (directive, bool) {
	for _, d := range slices.Backward(s.lines) {
		if len(d.words) >= len(words) && slices.Equal(d.words[:len(words)], words) {
			return d, true
		}
	}
	return directive{}, false
}

// A running is what can be seen from here of how a HAProxy was started.
type running struct {
	args     []string
	sections []section
	whole    bool // all files could be read
}

// runningAs reads the configuration of the HAProxy of this pid.
func runningAs(pid int) (r running) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || pid <= 0 {
		return r
	}
	r.args = strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")[1:]
	dir, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		dir = "/"
	}
	r.whole = true
	var files []ConfigFile
	for _, path := range configFiles(r.args, dir) {
		text, err := readConfig(path)
		if err != nil {
			r.whole = false
			continue
		}
		files = append(files, ConfigFile{path, text})
	}
	r.sections = readSections(files...)
	return r
}

// global yields what stands in global sections.
func (r running) global() iter.Seq[directive] {
	return func(yield func(directive) bool) {
		for _, s := range r.sections {
			for _, d := range s.lines {
				if s.kind == "global" && !yield(d) {
					return
				}
			}
		}
	}
}

// RunningSockets returns the unix sockets of the Runtime API that the HAProxys of this
// machine name in their configuration, as far as it can be read.
func RunningSockets() []string {
	var list []string
	names, _ := filepath.Glob("/proc/[0-9]*/comm") // the pattern is right
	for _, name := range names {
		if comm, err := os.ReadFile(name); err != nil || strings.TrimSpace(string(comm)) != "haproxy" {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		for d := range runningAs(pid).global() {
			path := strings.TrimPrefix(strings.Trim(d.arg(2), `"'`), "unix@")
			if d.words[0] == "stats" && d.arg(1) == "socket" && filepath.IsAbs(path) && !slices.Contains(list, path) {
				list = append(list, path)
			}
		}
	}
	return list
}

// maxConfig is more than any file of HAProxy's configuration has.
const maxConfig = 64 << 20

// readConfig reads a file that the command line of a process names. Every user can start one
// that is called haproxy, and may name a pipe, or a device that never ends.
func readConfig(path string) ([]byte, error) { return securedir.ReadFile(path, maxConfig, 0) }

// configFiles lists the files that HAProxy's arguments name, as seen from dir: those after
// -f or --, and of a folder its .cfg (Management Guide, 3, "-f").
func configFiles(args []string, dir string) []string {
	var files []string
	add := func(path string) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			inside, _ := filepath.Glob(filepath.Join(path, "*.cfg"))
			files = append(files, inside...)
			return
		}
		files = append(files, path)
	}
	for i, arg := range args {
		if arg == "--" {
			for _, path := range args[i+1:] {
				add(path)
			}
			break
		}
		if arg == "-f" && i+1 < len(args) {
			add(args[i+1])
		}
	}
	return files
}
