package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// defaultReload is the name of the reload that instances share.
const defaultReload = "haproxy"

// reloads returns the ways to reload HAProxy, the default one first.
func (c *checker) reloads(root *rootKeys, backends []Backend) []Reload {
	var shared []string
	var list []Reload
	for i := range root.HAProxy.Instances {
		in := &root.HAProxy.Instances[i]
		path := fmt.Sprintf("haproxy.instances[%d].reload", i)
		switch {
		case in.Reload.None:
		case c.given(path):
			list = append(list, c.reload(path, in.Name, &in.Reload, []string{in.Name}))
		default:
			shared = append(shared, in.Name)
		}
	}
	c.placeReload(root.Reload)
	if c.given("reload") && !root.Reload.None {
		r := c.reload("reload", defaultReload, &root.Reload, shared)
		if len(shared) > 0 {
			list = slices.Insert(list, 0, r)
		}
	}
	for _, r := range list {
		if r.Template != "" && root.StateDir == nothingKept {
			c.add("state_dir", "none does not go with the template of reload %q: the versions of what is rendered are kept there", r.Name)
		}
	}
	c.distinctNames(list)
	c.distinctFiles(list)
	c.templatesNeedSlots(list, backends)
	return list
}

// placeReload notes that the environment alone asks for a reload, if it does: by any key that
// says more than how often and how long.
func (c *checker) placeReload(r Reload) {
	for _, key := range [][2]string{{"reload.master", r.Master}, {"reload.template", r.Template}, {"reload.file", r.File}} {
		if at, ok := c.places[key[0]]; ok && key[1] != "" && !c.given("reload") {
			c.places["reload"] = at
		}
	}
}

func (c *checker) reload(path, name string, keys *Reload, instances []string) Reload {
	c.complete(path, keys, "")
	r := *keys
	r.Name, r.Instances = name, instances
	r.Key = keyOf(r)
	switch {
	case r.Master == "" && len(r.Command) == 0:
		c.add(path, "how is HAProxy reloaded? Set master (the socket of its master CLI) or command")
	case r.Master != "" && len(r.Command) > 0:
		c.add(path+".command", "master is set as well: only one of the two reloads")
	case r.Master == "":
		c.program(path+".command", r.Command)
	}
	c.managed(path, r)
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
func (c *checker) managed(path string, r Reload) {
	if r.Template != "" && r.File == "" {
		c.add(path+".template", "file is missing: where does what is rendered go?")
	}
	if r.Template != "" && RealPath(r.Template) == RealPath(r.File) {
		c.add(path+".template", "is file itself: what is rendered needs a place of its own")
	}
	if len(r.Check) == 0 {
		return
	}
	c.program(path+".check", r.Check)
	if r.File == "" {
		c.add(path+".check", "has no effect without file")
	}
	if !slices.ContainsFunc(r.Check[1:], func(word string) bool {
		return strings.Contains(word, "{{.File}}") || strings.Contains(word, "{{.Dir}}")
	}) {
		c.add(path+".check", "has no argument {{.File}}: write it where the program wants the path of the file")
	}
}

// distinctNames wants the instances that have a reload of their own to be named
// so that it can be told from the default, and has a folder of its own.
func (c *checker) distinctNames(list []Reload) {
	for i, r := range list {
		switch {
		case strings.Trim(r.Name, ".") == "" && r.Name != "":
			c.add("haproxy.instances", "an instance named %q cannot have a reload of its own: its versions need a folder of that name", r.Name)
		case i > 0 && r.Name == defaultReload && list[0].Name == defaultReload:
			c.add("haproxy.instances", "an instance named %q cannot have a reload of its own beside the default, which has this name", r.Name)
		}
	}
}

func (c *checker) distinctFiles(list []Reload) {
	for i, r := range list {
		for _, other := range list[:i] {
			if r.Template != "" && other.Template != "" && r.File != "" && RealPath(other.File) == RealPath(r.File) {
				c.add("haproxy.instances", "reloads %q and %q render the same file %s", other.Name, r.Name, textfmt.Clip(r.File))
			}
		}
	}
}

// templatesNeedSlots wants the prefix to be known where a file is rendered: it
// cannot be found in a backend that is not there yet.
func (c *checker) templatesNeedSlots(list []Reload, backends []Backend) {
	for i, b := range backends {
		rendered := slices.ContainsFunc(list, func(r Reload) bool { return r.Template != "" && r.serves(b) })
		if rendered && b.Prefix == "" {
			c.add(fmt.Sprintf("backends[%d]", i), "slots is missing: a template needs to know how the servers of %s are named", textfmt.Clip(b.Name))
		}
	}
}

// serves reports whether b is on one of the instances that r reloads.
func (r Reload) serves(b Backend) bool {
	return len(b.Instances) == 0 || slices.ContainsFunc(b.Instances, func(name string) bool { return slices.Contains(r.Instances, name) })
}

// VersionsDir returns where versions of the file are kept: another file has others. It is "" where
// nothing is to be kept.
func (r Reload) VersionsDir(stateDir string) string {
	if stateDir == "" {
		return ""
	}
	of := sha256.Sum256([]byte(filepath.Clean(r.File)))
	return filepath.Join(stateDir, "haproxy", r.Name+"-"+hex.EncodeToString(of[:4]))
}
