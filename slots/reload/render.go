package reload

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/template"
	"unicode"

	"github.com/slotsync/slotsync/securedir"
)

// parked is the address of a slot that is not in use. HAProxy must be able to
// set another one, so it is a literal one ("init-addr none" cannot be set).
const parked = "127.0.0.1:1"

// render returns the file that the template makes of d. It reads the template
// each time, so that a corrected one counts.
//
// A template sees d as the dot and has these functions besides those of
// text/template; a backend is named by its own name or by HAProxy's:
//
//	slots "web"                     how many slots there should be
//	first "web", last "web"         the numbers of the first and the last one
//	servers "web"                   all servers, as []Server
//	endpoints "web"                 those with an address
//	serverTemplate "web" "check"    one server-template line, its slots disabled
//	serverLines "web" "check"       one server line for each slot: the ready ones
//	                                with address and weight, so that HAProxy serves
//	                                without the agent; all others disabled
func (t *Transaction) render(d Data) ([]byte, error) {
	return renderFile(t.o.Template, d)
}

// TryTemplate renders the template at path with d, and keeps nothing. Its errors begin with
// the file and the line. It blocks on the file alone.
func TryTemplate(path string, d Data) error {
	_, err := renderFile(path, d)
	return err
}

func renderFile(path string, d Data) ([]byte, error) {
	source, err := securedir.ReadFile(path, maxFile, 0)
	if err != nil {
		return nil, err
	}
	return filled(path, source, d)
}

func filled(name string, source []byte, d Data) ([]byte, error) {
	d, err := d.checked()
	if err != nil {
		return nil, err
	}
	parsed, err := template.New(name).Option("missingkey=error").Funcs(functions(d)).Parse(string(source))
	if err != nil {
		return nil, placed(err)
	}
	var out limited
	if err := parsed.Execute(&out, d); err != nil {
		return nil, placed(err)
	}
	return whole(out.text)
}

// whole returns text if HAProxy may be given it.
func whole(text []byte) ([]byte, error) {
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return nil, errors.New("the template renders nothing")
	case bytes.IndexByte(text, 0) >= 0:
		return nil, errors.New("the template renders a NUL byte")
	case text[len(text)-1] != '\n':
		// HAProxy refuses a file whose last line is cut
		return append(text, '\n'), nil
	}
	return text, nil
}

// limited is a buffer that refuses what no configuration needs.
type limited struct{ text []byte }

func (l *limited) Write(b []byte) (int, error) {
	if len(l.text)+len(b) > maxFile {
		return 0, fmt.Errorf("more than %d bytes are rendered", maxFile)
	}
	l.text = append(l.text, b...)
	return len(b), nil
}

func functions(d Data) template.FuncMap {
	return template.FuncMap{
		"slots":     of(d, func(b Backend) int { return b.Slots }),
		"first":     of(d, Backend.first),
		"last":      of(d, Backend.last),
		"servers":   of(d, func(b Backend) []Server { return b.Servers }),
		"endpoints": of(d, Backend.endpoints),
		"serverTemplate": func(backend string, keywords ...string) (string, error) {
			return d.lines(backend, keywords, Backend.template)
		},
		"serverLines": func(backend string, keywords ...string) (string, error) {
			return d.lines(backend, keywords, Backend.lines)
		},
	}
}

// of makes a function of templates that says something of the backend of a name.
func of[T any](d Data, what func(Backend) T) func(backend string) (T, error) {
	return func(backend string) (T, error) {
		b, err := d.backend(backend)
		return what(b), err
	}
}

// backend finds one by our name first, since that is unique.
func (d Data) backend(name string) (Backend, error) {
	var known []string
	for _, b := range d.Backends {
		if b.Name == name {
			return b, nil
		}
		known = append(known, b.Name)
	}
	for _, b := range d.Backends {
		if b.Proxy == name {
			return b, nil
		}
	}
	return Backend{}, fmt.Errorf("no backend %q; there are: %s", printable(name), shorten(strings.Join(known, ", ")))
}

func (d Data) lines(backend string, keywords []string, write func(Backend, string) string) (string, error) {
	b, err := d.backend(backend)
	if err != nil {
		return "", err
	}
	if b.Slots == 0 {
		return "", fmt.Errorf("backend %q has no slots", backend)
	}
	tail := strings.TrimSpace(strings.Join(keywords, " "))
	if strings.ContainsFunc(tail, unicode.IsControl) {
		return "", fmt.Errorf("keywords %q are more than one line", printable(tail))
	}
	if tail != "" {
		tail = " " + tail
	}
	return write(b, tail), nil
}

func (b Backend) endpoints() []Server {
	var with []Server
	for _, s := range b.Servers {
		if s.Addr.IsValid() {
			with = append(with, s)
		}
	}
	return with
}

// template returns the line that every version of HAProxy restores from a state
// file, and whose slots can be given any address.
func (b Backend) template(tail string) string {
	return fmt.Sprintf("server-template %s %d-%d slot.invalid:1 init-addr last,127.0.0.1 disabled%s", b.Prefix, b.first(), b.last(), tail)
}

// lines returns one line for each slot, by number: HAProxy numbers servers in
// the order of the file, and consistent hashing goes by those numbers.
func (b Backend) lines(tail string) string {
	at := b.bySlot()
	lines := make([]string, b.Slots)
	for i := range b.Slots {
		n := b.first() + i
		lines[i] = at[n].line(fmt.Sprintf("server %s%d ", b.Prefix, n), tail)
	}
	return strings.Join(lines, "\n")
}

// bySlot returns the servers by the numbers of their slots. Ready ones without a slot get
// those that are free, in their order.
func (b Backend) bySlot() map[int]Server {
	at := make(map[int]Server, len(b.Servers))
	var outside []Server
	for _, s := range b.endpoints() {
		if n, err := b.number(s.Slot); err == nil {
			at[n] = s
		} else if s.State == "ready" {
			outside = append(outside, s)
		}
	}
	for n := b.first(); n <= b.last() && len(outside) > 0; n++ {
		if _, taken := at[n]; !taken {
			at[n], outside = outside[0], outside[1:]
		}
	}
	return at
}

// line returns the line of a slot that s is in. One that drains is disabled: a
// new worker has none of its sessions, and weight 0 would become the weight of
// the configuration.
func (s Server) line(head, tail string) string {
	if !s.Addr.IsValid() {
		return head + parked + " disabled" + tail
	}
	line := head + s.Addr.String()
	if s.Weight > 0 {
		line += fmt.Sprintf(" weight %d", s.Weight)
	}
	if s.State != "ready" {
		line += " disabled"
	}
	return line + tail
}

// Show returns the file as it is and its ETag, which is the SHA-256 in hex,
// without quotes. A file that is not there is an error.
func (t *Transaction) Show() (text []byte, etag string, err error) {
	if t.o.File == "" {
		return nil, "", errors.New("no file is configured")
	}
	found, err := t.snapshot(t.o.File)
	if err != nil {
		return nil, "", err
	}
	if !found.exists {
		return nil, "", &os.PathError{Op: "open", Path: t.o.File, Err: os.ErrNotExist}
	}
	return found.text, found.sum, nil
}
