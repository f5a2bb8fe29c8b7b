package haproxytest

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
)

// configFiles are configurations of the kinds that people have.
//
//go:embed testdata/configs
var configFiles embed.FS

// A Sample is a configuration of a kind that people have, with one template of slots in
// the backend "web".
type Sample struct {
	Name string
	// Prefix, First and Last are those of the template.
	Prefix      string
	First, Last int
	// StateFile is the name of the file that it loads in [Process.StateDir].
	StateFile string
	// Lost: a restart does not restore the addresses.
	Lost bool
	// Doctor is a part of what is wrong with it; "" if nothing is.
	Doctor string

	text     string
	versions []string
}

// Samples returns the samples for a version of [Versions].
func Samples(tb testing.TB, version string) []Sample {
	tb.Helper()
	files, err := fs.Glob(configFiles, "testdata/configs/*.cfg")
	if err != nil {
		tb.Fatal(err)
	}
	var list []Sample
	for _, file := range files {
		text, err := fs.ReadFile(configFiles, file)
		if err != nil {
			tb.Fatal(err)
		}
		s := Sample{Name: strings.TrimSuffix(path.Base(file), ".cfg"), StateFile: "{backend}", text: string(text), versions: Versions[:]}
		for line := range strings.Lines(s.text) {
			if err := s.heed(strings.TrimSpace(strings.TrimPrefix(line, "#"))); strings.HasPrefix(line, "#") && err != nil {
				tb.Fatalf("%s: %v", file, err)
			}
		}
		if slices.Contains(s.versions, version) {
			list = append(list, s)
		}
	}
	return list
}

// heed takes what a comment says.
func (s *Sample) heed(comment string) (err error) {
	key, value, _ := strings.Cut(comment, ": ")
	switch key {
	case "slots":
		_, err = fmt.Sscanf(strings.Replace(value, "-", " ", 1), "%s %d %d", &s.Prefix, &s.First, &s.Last)
	case "state":
		s.StateFile = value
	case "versions":
		s.versions = strings.Fields(value)
	case "restored":
		s.Lost = value == "no"
	case "doctor":
		s.Doctor = value
	}
	return err
}

// Config returns what a HAProxy of version is started with.
func (s Sample) Config(tb testing.TB, version string) Config {
	tb.Helper()
	deprecated := ""
	if version == "3.2" {
		deprecated = "expose-deprecated-directives"
	}
	text := strings.NewReplacer("{port}", fmt.Sprint(FreePort(tb)), "{deprecated}", deprecated).Replace(s.text)
	return Config{Version: version, Master: true, Text: text}
}
