package doctor

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/slots"
)

// A lint collects what is found in HAProxy's configuration.
type lint struct{ list []api.Finding }

func (l *lint) add(verdict string, at place, format string, args ...any) {
	f := findings{subject: fmt.Sprintf("%s:%d", filepath.Base(at.file), at.line)}
	f.add(verdict, format, args...)
	l.list = append(l.list, f.list...)
}

// LintHAProxy returns what a configuration would cost, by what its files say alone: no HAProxy
// is asked. HAProxy reads the files in this order, at least one. The findings are in the order
// of the lines.
func LintHAProxy(files ...ConfigFile) []api.Finding {
	var l lint
	sections := readSections(files...)
	l.admin(sections)
	for _, s := range sections {
		switch s.kind {
		case "global":
			l.global(s, sections)
		case "backend", "listen":
			l.backend(s)
		case "program":
			l.add(api.VerdictWarn, s.place, "HAProxy 3.3 and later have no `program`: let systemd or the container start slotsync")
		}
	}
	if !slices.ContainsFunc(sections, func(s section) bool { return len(templatesOf(s)) > 0 }) {
		l.add(api.VerdictFail, place{files[0].Path, 1}, "no backend has a `server-template`, and slotsync fills nothing else: write, as in `%s`", Recommended("web", 1, 100))
	}
	return l.list
}

// isAdmin reports whether d opens a Runtime API that takes changes.
func (d directive) isAdmin() bool {
	level, _ := d.after("level")
	return d.words[0] == "stats" && d.arg(1) == "socket" && level == "admin"
}

// admin looks for a Runtime API that takes changes in all global sections, of which there may
// be several.
func (l *lint) admin(all []section) {
	isGlobal := func(s section) bool { return s.kind == "global" }
	first := slices.IndexFunc(all, isGlobal)
	if first >= 0 && !slices.ContainsFunc(all, func(s section) bool { return isGlobal(s) && slices.ContainsFunc(s.lines, directive.isAdmin) }) {
		l.add(api.VerdictFail, all[first].place, "no `stats socket` has level admin, which changes need: write `stats socket /run/haproxy/admin.sock mode 660 level admin expose-fd listeners`")
	}
}

func (l *lint) global(s section, all []section) {
	for _, d := range s.lines {
		switch {
		case d.isAdmin():
			local := func(prefix string) bool { return strings.HasPrefix(strings.Trim(d.arg(2), `"'`), prefix) }
			if a := d.arg(2); !slices.ContainsFunc([]string{"/", "unix@", "abns@", "fd@", "127.", "localhost:", "$"}, local) {
				l.add(api.VerdictWarn, d.place, "the Runtime API at %s is open to the network, without encryption or password: a unix socket is the normal way", a)
			}
		case d.words[0] == "zero-warning" && slices.ContainsFunc(all, hasDisabledSlots):
			l.add(api.VerdictFail, d.place, "`zero-warning` with slots that are `disabled` keeps a HAProxy that starts with filled slots from starting: remove it")
		}
	}
}

// A template is one server-template line (Configuration Manual, 4.2 "server-template").
type template struct {
	directive
	prefix      string
	first, last int
	address     string // host name or address, without the port
	port        string
}

// templatesOf returns the templates of a section that can be read.
func templatesOf(s section) []template {
	var list []template
	for _, d := range s.lines {
		if d.words[0] != "server-template" || len(d.words) < 4 {
			continue
		}
		t := template{directive: d, prefix: d.arg(1), first: 1, address: d.arg(3)}
		from, to, ranged := strings.Cut(d.arg(2), "-")
		if !ranged {
			from, to = "1", from
		}
		var err1, err2 error
		t.first, err1 = strconv.Atoi(from)
		t.last, err2 = strconv.Atoi(to)
		if err1 != nil || err2 != nil {
			continue
		}
		if i := strings.LastIndex(t.address, ":"); i >= 0 && strings.Count(t.address, ":") == 1 {
			t.address, t.port = t.address[:i], t.address[i+1:]
		}
		list = append(list, t)
	}
	return list
}

// effective returns the words of the line behind those of default-server, which it overrides.
func (t template) effective(s section) directive {
	d := directive{place: t.place}
	for _, x := range s.lines {
		if x.words[0] == "default-server" {
			d.words = append(slices.Clone(x.words[1:]), d.words...)
		}
	}
	d.words = append(slices.Clone(t.words[4:]), d.words...) // the first that is found counts
	return d
}

func hasDisabledSlots(s section) bool {
	return slices.ContainsFunc(templatesOf(s), func(t template) bool { return slices.Contains(t.effective(s).words, "disabled") })
}

func (l *lint) backend(s section) {
	templates := templatesOf(s)
	if len(templates) == 0 {
		return
	}
	for _, d := range s.lines {
		switch d.words[0] {
		case "disabled":
			l.add(api.VerdictFail, d.place, "backend %s is `disabled`, and takes neither traffic nor changes: remove it", s.name)
		case "balance":
			l.balance(s, d)
		}
	}
	for i, t := range templates {
		l.template(s, t)
		l.beside(s, t)
		for _, other := range templates[:i] {
			if why := slots.Collide(other.prefix, t.prefix); why != "" {
				l.add(api.VerdictFail, t.place, "backend %s: %s", s.name, why)
			}
		}
	}
	if d, ok := s.last("load-server-state-from-file"); !ok || d.arg(1) == "none" {
		l.add(api.VerdictWarn, s.place, "backend %s loads no state file, so a restarted HAProxy is empty until slotsync has filled it: "+
			"write `load-server-state-from-file local` and `server-state-file-name use-backend-name`, and set state_file", s.name)
	}
	if _, ok := s.last("option", "redispatch"); !ok {
		l.add(api.VerdictWarn, s.place, "backend %s has no `option redispatch`: a request that meets an address that has just gone fails instead of being sent to another: "+
			"write `retries 3` and `option redispatch 1`", s.name)
	}
}

func (l *lint) template(s section, t template) {
	words := t.effective(s)
	has := func(word string) bool { return slices.Contains(words.words, word) }
	write := Recommended(t.prefix, t.first, t.last)
	if has("check") {
		write += " check"
	}
	init, ok := words.after("init-addr")
	_, err := netip.ParseAddr(strings.Trim(t.address, "[]"))
	numeric := err == nil
	switch {
	case has("resolvers") || strings.HasPrefix(t.address, "_"):
		l.add(api.VerdictFail, t.place, "HAProxy's own resolvers write these slots too: remove `resolvers` and write `%s`", write)
	case numeric:
		l.add(api.VerdictWarn, t.place, "a numeric address is not restored from a state file at a restart: write `%s`", write)
	case ok && strings.HasSuffix(init, "none"):
		l.add(api.VerdictFail, t.place, "`init-addr %s` leaves slots without an address, which cannot be set: write `%s`", init, write)
	case !ok && !numeric:
		l.add(api.VerdictFail, t.place, "HAProxy does not start when %s has no address in DNS: write `%s`", t.address, write)
	}
	if t.port == "" {
		l.add(api.VerdictWarn, t.place, "the slots have no port, so a restart with a state file adds the frontend's to it: write `%s`", write)
	}
	if !has("disabled") {
		l.add(api.VerdictWarn, t.place, "the slots are not `disabled`: they take traffic at their placeholder until they are filled: write `%s`", write)
	}
	if w, _ := words.after("weight"); atoi(w, 1) < fullWeight {
		l.add(api.VerdictWarn, t.place, "a template weight below %d cannot express every percent: write `weight %d`", fullWeight, fullWeight)
	}
	if !has("check") {
		l.add(api.VerdictWarn, t.place, "nothing checks the slots: HAProxy sends requests to an endpoint that has died until discovery says so: write `check inter 2s`")
	}
}

func atoi(text string, otherwise int) int {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return otherwise
}

// beside looks for servers that are written by hand and named like slots.
func (l *lint) beside(s section, t template) {
	for _, d := range s.lines {
		if d.words[0] != "server" {
			continue
		}
		if _, ok := slots.Number(d.arg(1), t.prefix); ok {
			l.add(api.VerdictFail, d.place, "server %s is named like a slot of `server-template %s`, and would be taken for one: rename it", d.arg(1), t.prefix)
		}
	}
}

// balance looks for algorithms that take no weights while HAProxy runs (Configuration
// Manual, 4.2 "balance", "hash-type").
func (l *lint) balance(s section, d directive) {
	algorithm, _, _ := strings.Cut(d.arg(1), "(")
	hash, _ := s.last("hash-type")
	switch {
	case algorithm == "static-rr":
	case slices.Contains([]string{"source", "uri", "url_param", "hdr", "rdp-cookie", "hash"}, algorithm) && hash.arg(1) != "consistent":
	default:
		return
	}
	l.add(api.VerdictWarn, d.place, "backend %s: `balance %s` takes no weights and no new servers while HAProxy runs, and moves keys whenever a slot changes: "+
		"write `hash-type consistent`, or another algorithm", s.name, d.arg(1))
}
