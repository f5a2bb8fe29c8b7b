package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// A reloadConfig is one way to reload HAProxy.
type reloadConfig struct {
	name      string   // "haproxy" for the default, else the instance's
	instances []string // that it reloads
	master    string   // socket of the master CLI, or
	command   []string // a program

	template, file               string
	check                        []string
	keep, maxPerHour             int
	minInterval, jitter, timeout time.Duration
	key                          string
}

// defaultReload is the name of the reload that instances share.
const defaultReload = "haproxy"

// reloads returns the ways to reload HAProxy, the default one first.
func (c *checker) reloads(raw rawConfig, backends []backendConfig) []reloadConfig {
	var shared []string
	var list []reloadConfig
	for i, in := range raw.HAProxy.Instances {
		path := fmt.Sprintf("haproxy.instances[%d].reload", i)
		switch {
		case in.Reload.None:
		case c.given(path):
			list = append(list, c.reload(path, in.Name, in.Reload, []string{in.Name}))
		default:
			shared = append(shared, in.Name)
		}
	}
	// the environment alone can ask for one too
	if (c.given("reload") || raw.Reload.Master != "") && !raw.Reload.None {
		r := c.reload("reload", defaultReload, raw.Reload, shared)
		if len(shared) > 0 {
			list = slices.Insert(list, 0, r)
		}
	}
	for _, r := range list {
		if r.template != "" && raw.StateDir == nothingKept {
			c.add("state_dir", "none does not go with the template of reload %q: the versions of what is rendered are kept there", r.name)
		}
	}
	c.distinctNames(list)
	c.distinctFiles(list)
	c.templatesNeedSlots(list, backends)
	return list
}

func (c *checker) reload(path, name string, raw rawReload, instances []string) reloadConfig {
	r := reloadConfig{
		name: name, instances: instances, master: raw.Master, command: raw.Command,
		template: raw.Template, file: raw.File, check: raw.Check,
		keep:        c.count(path+".keep", raw.Keep, 10, 1, 1000),
		maxPerHour:  c.count(path+".max_per_hour", raw.MaxPerHour, 10, 1, 1000),
		minInterval: c.duration(path+".min_interval", raw.MinInterval, 30*time.Second, 0, 24*time.Hour),
		jitter:      c.duration(path+".jitter", raw.Jitter, 5*time.Second, 0, time.Hour),
		timeout:     c.duration(path+".timeout", raw.Timeout, time.Minute, time.Second, time.Hour),
	}
	r.key = keyOf(r.master, r.command, r.template, r.file, r.check, r.keep, r.maxPerHour, r.minInterval, r.jitter, r.timeout, instances)
	switch {
	case raw.Master == "" && len(raw.Command) == 0:
		c.add(path, "how is HAProxy reloaded? Set master (the socket of its master CLI) or command")
	case raw.Master != "" && len(raw.Command) > 0:
		c.add(path+".command", "master is set as well: only one of the two reloads")
	case raw.Master != "":
		c.socket(path+".master", raw.Master)
	default:
		c.program(path+".command", raw.Command)
	}
	c.managed(path, raw)
	return r
}

// program checks what is started. No shell looks at it.
func (c *checker) program(path string, words []string) {
	switch program := words[0]; {
	case program == "":
		c.add(path, "the first word is the program, and it is empty")
	case len(words) == 1 && strings.ContainsAny(program, " \t"):
		c.add(path, "%q is one word: there is no shell, write each argument as an entry of the list", textfmt.Clip(program))
	case strings.Contains(program, "/") && !filepath.IsAbs(program):
		c.add(path, "%q is neither an absolute path nor a name to be looked for in $PATH", textfmt.Clip(program))
	}
}

// managed checks the keys of a file that is rendered.
func (c *checker) managed(path string, raw rawReload) {
	if raw.Template != "" && raw.File == "" {
		c.add(path+".template", "file is missing: where does what is rendered go?")
	}
	for key, file := range map[string]string{"template": raw.Template, "file": raw.File} {
		if file != "" && !filepath.IsAbs(file) {
			c.add(path+"."+key, "%q is not an absolute path", textfmt.Clip(file))
		}
	}
	if raw.Template != "" && realPath(raw.Template) == realPath(raw.File) {
		c.add(path+".template", "is file itself: what is rendered needs a place of its own")
	}
	if len(raw.Check) == 0 {
		return
	}
	c.program(path+".check", raw.Check)
	if raw.File == "" {
		c.add(path+".check", "has no effect without file")
	}
	if !slices.ContainsFunc(raw.Check[1:], func(word string) bool {
		return strings.Contains(word, "{{.File}}") || strings.Contains(word, "{{.Dir}}")
	}) {
		c.add(path+".check", "no word of it is {{.File}}: what does it check?")
	}
}

// distinctNames wants the instances that have a reload of their own to be named
// so that it can be told from the default, and has a folder of its own.
func (c *checker) distinctNames(list []reloadConfig) {
	for i, r := range list {
		switch {
		case strings.Trim(r.name, ".") == "" && r.name != "":
			c.add("haproxy.instances", "an instance named %q cannot have a reload of its own: its versions need a folder of that name", r.name)
		case i > 0 && r.name == defaultReload && list[0].name == defaultReload:
			c.add("haproxy.instances", "an instance named %q cannot have a reload of its own beside the default, which has this name", r.name)
		}
	}
}

func (c *checker) distinctFiles(list []reloadConfig) {
	for i, r := range list {
		for _, other := range list[:i] {
			if r.template != "" && other.template != "" && r.file != "" && realPath(other.file) == realPath(r.file) {
				c.add("haproxy.instances", "reloads %q and %q render the same file %s", other.name, r.name, textfmt.Clip(r.file))
			}
		}
	}
}

// templatesNeedSlots wants the prefix to be known where a file is rendered: it
// cannot be found in a backend that is not there yet.
func (c *checker) templatesNeedSlots(list []reloadConfig, backends []backendConfig) {
	for i, b := range backends {
		rendered := slices.ContainsFunc(list, func(r reloadConfig) bool { return r.template != "" && r.serves(b) })
		if rendered && b.prefix == "" {
			c.add(fmt.Sprintf("backends[%d]", i), "slots is missing: a template needs to know how the servers of %s are named", textfmt.Clip(b.name))
		}
	}
}

// serves reports whether b is on one of the instances that r reloads.
func (r reloadConfig) serves(b backendConfig) bool {
	return len(b.instances) == 0 || slices.ContainsFunc(b.instances, func(name string) bool { return slices.Contains(r.instances, name) })
}

// dir is where versions of the file are kept: another file has others. It is "" where
// nothing is to be kept.
func (r reloadConfig) dir(stateDir string) string {
	if stateDir == "" {
		return ""
	}
	of := sha256.Sum256([]byte(filepath.Clean(r.file)))
	return filepath.Join(stateDir, "haproxy", r.name+"-"+hex.EncodeToString(of[:4]))
}
