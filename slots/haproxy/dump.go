package haproxy

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

const (
	// maxValue bounds one value in a dump for people, in runes.
	maxValue = 1000
	// maxColumns bounds the names in a dump: sessions bring their own.
	maxColumns = 500
	// maxAdmin is how many connections people's questions take at a time: well below
	// the 10 that HAProxy takes by default (stats maxconn), since beyond those it takes
	// no changes of slots either.
	maxAdmin = 3
	// maxReaders is how many of these they are of people who may only read.
	maxReaders = 1
	// maxDrain is how long an answer is read to its end that nobody waits for any more.
	maxDrain = 30 * time.Second
)

// Dump asks for one of [slots.Dumps] in a connection of its own, within the
// client's timeout ("show info", "show stat", "show sess" and "show servers
// state" of the Management Guide, 9.3). What is beyond the bounds of docs/limits.md is an error.
func (c *Client) Dump(ctx context.Context, what string) (slots.Dump, error) {
	commands := map[string]string{
		slots.DumpInfo: "show info", slots.DumpStat: "show stat", slots.DumpSess: "show sess", slots.DumpServers: "show servers state",
	}
	command, ok := commands[what]
	if !ok {
		return slots.Dump{}, fmt.Errorf("%q is none of %s", printable(what), strings.Join(slots.Dumps[:], ", "))
	}
	text, err := c.command(ctx, command, 1)
	if err != nil {
		return slots.Dump{}, err
	}
	if strings.HasPrefix(text, "Permission denied") {
		return slots.Dump{}, garbled(false, "%s: %s needs a socket of level operator or admin", c.at, command)
	}
	d, err := parseDump(what, text)
	if err != nil {
		return slots.Dump{}, garbled(false, "%s: %s: %w", c.at, command, err)
	}
	return d, nil
}

// Raw sends one line of commands, separated by ";", and returns what HAProxy
// answers, within the client's timeout. It is for people: nothing is checked but
// that it is one line of printable ASCII.
func (c *Client) Raw(ctx context.Context, command string) (string, error) {
	if err := checkRaw(command); err != nil {
		return "", err
	}
	return c.command(ctx, command, maxShown)
}

// checkRaw refuses what is more than one line, or longer than a line may be.
func checkRaw(command string) error {
	switch {
	case strings.TrimSpace(command) == "":
		return errors.New("the command is empty")
	case len(command) > maxLine:
		return fmt.Errorf("the command has %d bytes, %d at most", len(command), maxLine)
	case strings.ContainsFunc(command, func(r rune) bool { return r < ' ' || r > '~' }):
		return errors.New("the command has to be one line of printable ASCII")
	}
	return nil
}

// command sends one line and returns the text that comes back, so many answers at most;
// maxShown where their number is not known, since no more can fit in so many bytes.
// While others have all places, it waits.
func (c *Client) command(ctx context.Context, command string, answers int) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	leave, err := c.people.take(ctx)
	if err != nil {
		return "", fault(slots.Crowded, "%s is asked by others already: %w", c.at, err)
	}
	conn, err := c.dial(ctx)
	if err != nil {
		leave()
		return "", dialFault(c.at, cause(ctx, err))
	}
	told := make(chan rawReply, 1)
	go func() {
		defer leave()
		exchangeRaw(conn, command, answers, told)
	}()
	select {
	case s := <-told:
		if s.err != nil {
			return "", c.faultOf(ctx, s.err, false)
		}
		return strings.TrimRight(s.text, "\n"), nil
	case <-ctx.Done():
		return "", c.faultOf(ctx, ctx.Err(), false)
	}
}

// places holds one for each question of people that is under way.
type places struct{ all, readers chan struct{} }

// take waits for a place, until ctx is done.
func (p places) take(ctx context.Context) (leave func(), err error) {
	taken := []chan struct{}{p.all}
	if slots.IsForReader(ctx) {
		taken = []chan struct{}{p.readers, p.all} // who waits for the first has none of the others
	}
	leave = func() {
		for _, place := range taken {
			<-place
		}
	}
	for i, place := range taken {
		select {
		case place <- struct{}{}:
		case <-ctx.Done():
			taken = taken[:i]
			leave()
			return nil, ctx.Err()
		}
	}
	return leave, nil
}

type rawReply struct {
	text string
	err  error
}

// exchangeRaw sends a line, puts what comes back into told, and reads on to the end when
// the caller has left: HAProxy up to 3.0 never frees a connection that is closed while
// commands of its line are left.
func exchangeRaw(conn net.Conn, command string, answers int, told chan<- rawReply) {
	defer conn.Close()
	err := conn.SetDeadline(time.Now().Add(maxDrain))
	if err == nil {
		_, err = io.WriteString(conn, command+"\n")
	}
	var text string
	if err == nil || !isTimeout(err) {
		text, err = readAll(conn, &meter{commands: answers, limit: maxShown})
	}
	told <- rawReply{text, err}
	if err != nil {
		_, _ = io.Copy(io.Discard, conn) // whatever is left of it
	}
}

func parseDump(what, text string) (slots.Dump, error) {
	d := slots.Dump{Columns: []string{}, Rows: []map[string]string{}}
	var err error
	switch what {
	case slots.DumpInfo:
		err = dumpInfo(&d, text)
	case slots.DumpStat:
		err = dumpStat(&d, text)
	case slots.DumpSess:
		err = dumpSess(&d, text)
	default:
		err = dumpServers(&d, text)
	}
	return d, err
}

// dumpInfo reads "Name: value" lines into one row.
func dumpInfo(d *slots.Dump, text string) error {
	var pairs []string
	for line := range strings.SplitSeq(text, "\n") {
		name, value, ok := strings.Cut(line, ":")
		if ok && len(pairs) < 2*maxColumns {
			pairs = append(pairs, shown(name), shown(strings.TrimSpace(value)))
		}
	}
	if len(pairs) == 0 || pairs[0] != "Name" {
		return fmt.Errorf("%q is no answer of HAProxy's", printable(text))
	}
	d.Add(pairs...)
	return nil
}

func dumpStat(d *slots.Dump, text string) error {
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "# ")))
	r.FieldsPerRecord, r.LazyQuotes = -1, true
	header, err := r.Read()
	if err != nil || len(header) < 2 || len(header) > maxColumns || header[0] != "pxname" {
		return fmt.Errorf("%q is no header of HAProxy's", printable(text))
	}
	for {
		record, err := r.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := addRow(d, header, record); err != nil {
			return err
		}
	}
}

// dumpServers reads words in columns, after a line with the version of the format
// and one with the names.
func dumpServers(d *slots.Dump, text string) error {
	_, text, _ = strings.Cut(text, "\n")
	first, rest, _ := strings.Cut(text, "\n")
	if !strings.HasPrefix(first, "# be_id ") {
		return fmt.Errorf("%q is no answer of HAProxy's", printable(text))
	}
	header := strings.Fields(strings.TrimPrefix(first, "# "))
	for line := range strings.SplitSeq(rest, "\n") {
		if words := strings.Fields(line); len(words) > 0 {
			if err := addRow(d, header[:min(len(header), maxColumns)], words); err != nil {
				return err
			}
		}
	}
	return nil
}

func addRow(d *slots.Dump, header, values []string) error {
	var pairs []string
	for i, name := range header {
		if name != "" && i < len(values) {
			pairs = append(pairs, shown(name), shown(values[i]))
		}
	}
	return add(d, pairs)
}

// add adds a row unless the dump has become too large to be held. A row takes as much as 8
// values at least.
func add(d *slots.Dump, pairs []string) error {
	if len(d.Rows)*max(len(pairs)/2, 8) >= maxValues {
		return fmt.Errorf("more than %d values: ask for a part of it with `slotsync haproxy raw`, as in `show stat BACKEND 4 -1`", maxValues)
	}
	d.Add(pairs...)
	return nil
}

// dumpSess reads lines as in "0x55d: proto=tcpv4 src=127.0.0.1:1 rq[f=848000h,i=0]".
func dumpSess(d *slots.Dump, text string) error {
	for line := range strings.SplitSeq(text, "\n") {
		id, rest, ok := strings.Cut(line, ": ")
		if !ok {
			if strings.TrimSpace(line) == "" {
				continue
			}
			return fmt.Errorf("%q is no session", printable(line))
		}
		pairs := []string{"id", shown(id)}
		for word := range strings.FieldsSeq(rest) {
			name, value := sessField(word)
			if name != "" && (len(d.Columns) < maxColumns || slices.Contains(d.Columns, name)) {
				pairs = append(pairs, shown(name), shown(value))
			}
		}
		if err := add(d, pairs); err != nil {
			return err
		}
	}
	return nil
}

// sessField takes "src=x" or "rq[f=1,i=0]" apart.
func sessField(word string) (name, value string) {
	at := strings.IndexAny(word, "=[")
	if at < 0 {
		return "", ""
	}
	return word[:at], strings.TrimPrefix(word[at:], "=")
}

func shown(s string) string { return discovery.Printable(s, maxValue) }
