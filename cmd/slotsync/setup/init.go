package setup

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/securedir"
)

// Options say what is looked at, and how questions are asked.
type Options struct {
	Sockets []string // none: those that are found
	Source  Source   // of no type: Consul, where the environment says
	Domain  string   // of DNS: where the names of backends are looked for
	Port    int      // of address records, where no server tells it; 0: those are not looked for
	Env     config.Environment
	Out     io.Writer // what is found and proposed, for people
	// Answer waits for the next line that somebody types; nil: proposals are taken as they are.
	Answer func() (string, error)
}

// A Result is what came of it.
type Result struct {
	Instances []Instance
	Source    Source
	Proposals []Proposal
}

// Run asks HAProxy and discovery, says what it found and proposes, and has each proposal
// agreed to or changed. It writes nothing but to o.Out.
func Run(ctx context.Context, o Options) (Result, error) {
	sockets := o.Sockets
	if len(sockets) == 0 {
		sockets = findSockets()
	}
	if len(sockets) == 0 {
		return Result{}, NotFound()
	}
	instances, err := Look(ctx, sockets)
	if err != nil && (len(instances) == 0 || len(o.Sockets) > 0) { // one that was named is not left out
		return Result{}, err
	}
	if err != nil {
		fmt.Fprintln(o.Out, "not asked  "+textfmt.OneLine(err.Error()))
	}
	for _, in := range instances {
		fmt.Fprintln(o.Out, "found    "+textfmt.OneLine(in.Summary()))
	}
	r := Result{Instances: instances, Source: o.Source}
	var known []string
	r.Proposals, known, err = proposals(ctx, &r, o)
	if err != nil {
		return Result{}, err
	}
	if err := agree(r, known, o); err != nil {
		return Result{}, err
	}
	return r, nil
}

// proposals asks discovery, and returns the names that it knows too, where it can list them.
func proposals(ctx context.Context, r *Result, o Options) ([]Proposal, []string, error) {
	backends := mergeInstances(r.Instances)
	if r.Source.Type == "dns" {
		ask, err := openResolver(r.Source, o.Env)
		if err != nil {
			return nil, nil, err
		}
		list, err := proposeAllDNS(ctx, ask, o.Domain, o.Port, backends)
		return list, nil, err
	}
	r.Source.Type = "consul"
	c, err := open(r.Source, o.Env)
	if err != nil {
		return nil, nil, err
	}
	services, err := Names(ctx, c, backends)
	if err != nil {
		return nil, nil, fmt.Errorf("%w; name Consul with --consul URL, or a DNS server with --dns IP:PORT and --domain NAME", err)
	}
	var known []string
	for _, s := range services {
		known = append(known, s.Name)
	}
	slices.Sort(known)
	fmt.Fprintf(o.Out, "found    Consul with %s: %s\n", textfmt.Count(len(known), "service"), textfmt.List(known, 12))
	return proposeAll(backends, services), known, nil
}

// agree prints each proposal, and has it agreed to or changed where somebody can be asked.
func agree(r Result, known []string, o Options) error {
	for i := range r.Proposals {
		p := &r.Proposals[i]
		fmt.Fprintln(o.Out, "backend  "+textfmt.OneLine(p.words()))
		for again := o.Answer != nil && p.Slots > 0; again; {
			fmt.Fprintf(o.Out, "         Enter: %s · another name · - for none > ", cmp.Or(p.Service, "none"))
			text, err := o.Answer()
			if err != nil {
				return fmt.Errorf("no answer, so nothing is written: %w", err)
			}
			problem := p.answer(text, known)
			if again = problem != ""; again {
				fmt.Fprintln(o.Out, "         "+textfmt.OneLine(problem))
			}
		}
	}
	return nil
}

func (p Proposal) words() string {
	has := fmt.Sprintf("%s: %s", p.Proxy, textfmt.Count(p.Slots, "slot"))
	if p.Fixed > 0 {
		has += fmt.Sprintf(", %s written by hand", textfmt.Count(p.Fixed, "server"))
	}
	if names := p.prefixes(); names != "" {
		has += ", which are called otherwise at each HAProxy (" + names + ")"
	}
	switch {
	case p.Slots == 0 && p.Service != "":
		return fmt.Sprintf("%s; it could follow %s (%s) once it has slots", has, p.Service, p.Why)
	case p.Service == "":
		return has + "; no service is evidently the one that it stands for"
	}
	return fmt.Sprintf("%s; follows %s: %s", has, p.Service, p.Why)
}

// answer takes what somebody typed, and returns what is wrong with it. known are the names
// that there are, nil if that is not known.
func (p *Proposal) answer(text string, known []string) (problem string) {
	if text == "" {
		return ""
	}
	if text == "-" {
		p.Service = ""
		return ""
	}
	if known == nil {
		name, port, has := strings.Cut(text, ":")
		n, err := strconv.ParseUint(port, 10, 16)
		switch srv := strings.HasPrefix(name, "_"); {
		case srv && has, !srv && (err != nil || n == 0):
			return fmt.Sprintf("%s: SRV records are named as in _web._tcp.example.org, address records as in web.example.org:80", textfmt.Clip(text))
		}
		p.Service, p.Port, p.Why = name, int(n), "chosen by hand"
		return ""
	}
	if !slices.Contains(known, text) {
		return fmt.Sprintf("there is no service %s%s", textfmt.Clip(text), textfmt.DidYouMean(text, known))
	}
	p.Service, p.Why = text, "chosen by hand"
	return ""
}

// Advise prints the server-template lines that would be better.
func (r Result) Advise(w io.Writer) {
	said := false
	for _, p := range r.Proposals {
		if p.Advice == "" {
			continue
		}
		if !said {
			fmt.Fprintln(w, "\nThese lines in HAProxy's configuration would be better (keep your own keywords, such as ssl):")
			said = true
		}
		fmt.Fprintf(w, "  backend %s\n    %s\n", textfmt.Clip(p.Proxy), textfmt.OneLine(p.Advice))
	}
}

// maxOld is more than any configuration has.
const maxOld = 16 << 20

// Write puts the configuration into a file at path, in one step; folders that lack are made.
// A file that is there is left as it is, unless it says nothing but comments.
func Write(path string, text []byte) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	dir, err := securedir.Policy{}.Make(filepath.Dir(path), 0o755)
	if err != nil {
		return err
	}
	defer dir.Close()
	name := filepath.Base(path)
	free := func() error {
		switch old, _, err := dir.Read(name, maxOld); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case !onlyComments(old):
			return fmt.Errorf("%s is there already, and is left as it is: name another file with --out, or look at the proposal with --out -", path)
		}
		return nil
	}
	if err := free(); err != nil {
		return err
	}
	return dir.Replace(name, text, securedir.Attributes{Mode: 0o644, UID: -1, GID: -1}, free)
}

func onlyComments(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}
