package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
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
	if c.given("reload") && !raw.Reload.None && len(shared) > 0 {
		list = slices.Insert(list, 0, c.reload("reload", "haproxy", raw.Reload, shared))
	}
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
		key:         keyOf(raw, instances),
	}
	switch {
	case raw.Master == "" && len(raw.Command) == 0:
		c.add(path, "how is HAProxy reloaded? Set master (the socket of its master CLI) or command")
	case raw.Master != "" && len(raw.Command) > 0:
		c.add(path+".command", "master is set as well: only one of the two reloads")
	case raw.Master != "":
		c.socket(path+".master", raw.Master)
	case raw.Command[0] == "":
		c.add(path+".command", "the first word is the program, and it is empty")
	}
	c.managed(path, raw)
	return r
}

// managed checks the keys of a file that is rendered.
func (c *checker) managed(path string, raw rawReload) {
	if raw.Template != "" && raw.File == "" {
		c.add(path+".template", "file is missing: where does what is rendered go?")
	}
	for key, file := range map[string]string{"template": raw.Template, "file": raw.File} {
		if file != "" && !filepath.IsAbs(file) {
			c.add(path+"."+key, "%q is not an absolute path", shown(file))
		}
	}
	if len(raw.Check) == 0 {
		return
	}
	if raw.File == "" {
		c.add(path+".check", "has no effect without file")
	}
	if !slices.ContainsFunc(raw.Check, func(word string) bool { return strings.Contains(word, "{{.File}}") }) {
		c.add(path+".check", "no word of it is {{.File}}: what does it check?")
	}
}

func (c *checker) distinctFiles(list []reloadConfig) {
	for i, r := range list {
		for _, other := range list[:i] {
			if r.file != "" && r.template != "" && filepath.Clean(other.file) == filepath.Clean(r.file) {
				c.add("haproxy.instances", "reloads %q and %q render the same file %s", other.name, r.name, shown(r.file))
			}
		}
	}
}

// templatesNeedSlots wants the prefix to be known where a file is rendered: it
// cannot be found in a backend that is not there yet.
func (c *checker) templatesNeedSlots(list []reloadConfig, backends []backendConfig) {
	rendered := slices.ContainsFunc(list, func(r reloadConfig) bool { return r.template != "" })
	for i, b := range backends {
		if rendered && b.prefix == "" {
			c.add(fmt.Sprintf("backends[%d]", i), "slots is missing: a template needs to know how the servers of %s are named", shown(b.name))
		}
	}
}
