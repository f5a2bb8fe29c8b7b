package haproxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/slotsync/slotsync/slots"
)

// maxOptions bounds the keywords of a server that is added, in words and bytes:
// HAProxy takes 64 words in a command, "add server b/s addr weight N" among
// them; up to 3.0 it drops the others without a word.
const maxOptions, maxOptionBytes = 58, 4096

// unfitOptions are keywords that a server which is added cannot have, or that
// would take from the agent what it has to decide.
var unfitOptions = [...]struct{ word, why string }{
	{"resolvers", "the address of a server that is added is not resolved"},
	{"init-addr", "the address of a server that is added is not resolved"},
	{"enabled", "a server is added in maintenance, and made ready when it is proved"},
	{"disabled", "that is what tells the slots of the configuration from those that were added"},
	{"id", "each server needs one of its own, which HAProxy finds"},
	{"weight", "weights come from the source, or from the template"},
}

// CheckOptions returns an error unless options are words that may stand at the
// end of "add server" (Management Guide, 9.3), as in "check inter 1s". Whether
// HAProxy knows them is another matter, and differs by version: see
// [Client.TryDynamic]. "" is fine.
func CheckOptions(options string) error {
	if len(options) > maxOptionBytes {
		return fmt.Errorf("options of %d bytes: at most %d are allowed", len(options), maxOptionBytes)
	}
	for _, ch := range options {
		if !isOptionRune(ch) && ch != ' ' {
			return fmt.Errorf("options %q: only letters, digits and %s are allowed, and spaces between words", printable(options), optionMarks)
		}
	}
	words := strings.Fields(options)
	if len(words) > maxOptions {
		return fmt.Errorf("options have %d words: at most %d are allowed", len(words), maxOptions)
	}
	for _, r := range unfitOptions {
		if slices.Contains(words, r.word) {
			return fmt.Errorf("option %q: %s", r.word, r.why)
		}
	}
	return nil
}

// optionMarks are what options may hold besides letters and digits, as in "sni
// str(web.example.org)" or "ca-file @system-ca": nothing that ends a command or a line,
// that HAProxy unescapes, or that begins a payload ("<<").
const optionMarks = "_.:/+,-()[]%@=!*"

func isOptionRune(ch rune) bool {
	return ch >= 'a' && ch <= 'z' || ch >= 'A' && ch <= 'Z' || ch >= '0' && ch <= '9' || strings.ContainsRune(optionMarks, ch)
}

func asks(options, word string) bool { return slices.Contains(strings.Fields(options), word) }

// appendAdd adds a server, with HAProxy's own weight if weight is 0.
func appendAdd(b []byte, backend, server string, a netip.AddrPort, weight int, options string) ([]byte, error) {
	if err := errors.Join(checkAddr(a), CheckOptions(options), checkWeight(weight)); err != nil {
		return b, err
	}
	words := strings.Fields(options)
	if weight > 0 {
		words = append([]string{"weight", strconv.Itoa(weight)}, words...)
	}
	at := netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	return appendServer(b, "add server", backend, server, " %s", strings.Join(append([]string{at.String()}, words...), " "))
}

// TryDynamic finds out whether servers can be added to backend with these
// options: it adds one in maintenance, at 127.0.0.1:1, and deletes it again. It
// is named prefix and zeros, which no template makes and no agent takes for a
// slot. If HAProxy refuses, the error says so in its own words; an instance that
// cannot be asked is a [slots.InstanceError].
func (c *Client) TryDynamic(ctx context.Context, backend, prefix, options string) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	c.drop() // another process may answer by now
	if err := c.takesServers(ctx, backend); err != nil {
		return err
	}
	for _, zeros := range [...]string{"00", "000", "0000"} {
		reply, err := c.try(ctx, backend, prefix+zeros, options)
		if err != nil || reply == "" {
			return err
		}
		if !strings.HasPrefix(reply, "Already exists") {
			return refusedOptions(reply)
		}
	}
	return fmt.Errorf("%s has servers %s00, %[2]s000 and %[2]s0000 already: no name is left to try", backend, prefix)
}

// refusedOptions is HAProxy's reply, and what is behind it.
func refusedOptions(reply string) error {
	for _, opened := range [...]string{"unable to load", "unable to stat"} {
		if strings.Contains(reply, opened) {
			return fmt.Errorf("%s (a HAProxy that runs opens no files: name one that its configuration loads too)", printable(strings.TrimRight(reply, ". ")))
		}
	}
	return errors.New(printable(reply))
}

// try adds and deletes one server. The reply is "" if both went well, and
// HAProxy's first line if not.
func (c *Client) try(ctx context.Context, backend, name, options string) (reply string, err error) {
	add, err := appendAdd(nil, backend, name, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 1), 1, options)
	if err != nil {
		return "", err
	}
	del, err := appendServer(nil, "del server", backend, name, "")
	if err != nil {
		return "", err
	}
	for _, s := range [...]struct {
		kind    kind
		command []byte
	}{{addKind, add}, {delKind, del}} {
		if _, err := c.current(ctx); err != nil {
			return "", err
		}
		a, err := c.ask(ctx, line{write: s.command, writes: 1})
		if err != nil {
			return "", err
		}
		if len(a.writes) != 1 {
			return "", garbled(true, "%s: the answer to %q cannot be understood", c.at, s.command)
		}
		if res, _ := classify(s.kind, a.writes[0]); res == refusedResult {
			reply, _, _ = strings.Cut(a.writes[0], "\n")
			return reply, nil
		}
	}
	return "", nil
}

// admissibleChange returns why a server must not be added or removed like this.
// What the configuration has is not deleted, even if it could be.
func admissibleChange(ch slots.Change) error {
	switch {
	case ch.Kind == slots.Add && !ch.Addr.IsValid():
		return errors.New("a server without an address cannot be added")
	case ch.Kind == slots.Add:
		return CheckOptions(ch.Options)
	case ch.Kind == slots.Remove && (!ch.From.Dynamic || ch.From.Disabled):
		return errors.New("the server was not added at run time: it is not removed")
	case ch.Kind == slots.Remove && ch.From.Class != slots.Maint:
		return fmt.Errorf("the server is %s: only one in maint is removed", ch.From.Class)
	case ch.Kind == slots.Shut && (ch.From.Class != slots.Maint || ch.Addr.IsValid() || ch.Weight != 0 || ch.SetClass):
		return fmt.Errorf("the server is %s, or gets something else: sessions are ended of one in maint, and nothing besides", ch.From.Class)
	}
	return nil
}

// classifyAdd judges a reply to "add server" and "enable health" or "enable
// agent". Warnings may come before the good end.
func classifyAdd(text string) (result, slots.Cause) {
	switch {
	case text == "", strings.HasSuffix("\n"+text, "\nNew server registered."):
		return okResult, ""
	case strings.HasPrefix(text, "Backend must use a dynamic load balancing"),
		strings.HasPrefix(text, "Backend does not support dynamic servers"),
		strings.HasPrefix(text, "Unknown command"),
		strings.HasPrefix(text, "This command is restricted to experimental mode"):
		return refusedResult, slots.NoDynamic
	}
	return refusedResult, slots.OtherCause
}

func classifyDel(text string) (result, slots.Cause) {
	switch {
	case text == "Server deleted.":
		return okResult, ""
	case strings.HasPrefix(text, "Server still has connections"):
		return refusedResult, slots.Busy
	}
	return refusedResult, slots.OtherCause
}

// HAProxy 3.4 ends when a server is added to a backend that is disabled in its
// configuration (seen in 3.4.7: SIGFPE); earlier ones refuse. So nothing is added
// where the servers that are there do not show that the backend is in use.

// notInUse says why nothing is added to a backend with these servers; "" if it is.
func notInUse(list []slots.Server) string {
	switch {
	case len(list) == 0:
		return "not sent: the backend shows no server, and HAProxy may end if it is disabled in the configuration"
	case slices.ContainsFunc(list, func(s slots.Server) bool { return s.Off }):
		return "not sent: the backend is disabled in the configuration"
	}
	return ""
}

// refuseDisabled reads the backends that are to get servers, and refuses those of
// disabled ones before HAProxy hears of them.
func (r *round) refuseDisabled(ctx context.Context) error {
	adds := slices.DeleteFunc(r.unproved(), func(s step) bool { return s.kind != addKind })
	if len(adds) == 0 || !endsOnAdd(r.seen.Version) {
		return nil
	}
	if err := r.send(ctx, nil, r.backendsOf(adds), true); err != nil {
		return err
	}
	for _, s := range adds {
		list, ok := r.outcome.View.Servers[r.changes[s.change].Backend]
		if why := notInUse(list); ok && why != "" {
			f := &r.fates[s.change]
			f.cause, f.reply = slots.Stopped, why
		}
	}
	return nil
}

// takesServers returns an error if adding a server to backend may end HAProxy.
func (c *Client) takesServers(ctx context.Context, backend string) error {
	p, err := c.current(ctx)
	if err != nil || !endsOnAdd(p.Version) {
		return err
	}
	show, err := appendShowState(nil, backend)
	if err != nil {
		return err
	}
	a, err := c.ask(ctx, line{read: show, reads: 1})
	if err != nil {
		return err
	}
	if isNoBackend(a.reads[0]) {
		return nil // which is what HAProxy will say
	}
	servers := make(map[string][]slots.Server, 1)
	if err := mergeState(servers, nil, backend, a.reads[0]); err != nil {
		return garbled(false, "%s: %w", c.at, err)
	}
	if why := notInUse(servers[backend]); why != "" {
		return fmt.Errorf("%s: %s", backend, why)
	}
	return nil
}
