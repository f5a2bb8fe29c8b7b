package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/daemon"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
)

// askTime bounds what one source is asked.
const askTime = 20 * time.Second

// maxRejections bounds the rejected that are named, maxGaps the parts that are not whole.
const maxRejections, maxGaps = 5, 10

// examineSources asks every system and every feed, all at the same time, and
// returns what was found: the systems first.
func examineSources(ctx context.Context, cfg *config.Config, w daemon.Wiring) []api.Finding {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var all []*findings
	var wg sync.WaitGroup
	examine := func(subject string, look func(f *findings)) {
		f := &findings{subject: subject}
		all = append(all, f)
		wg.Go(func() { look(f) })
	}
	watches := map[string]int{}
	for _, b := range cfg.Backends {
		for _, feed := range b.Feeds {
			watches[feed.Source]++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Sources)) {
		watched := watches[name]
		examine("source "+name, func(f *findings) { f.take(w.Systems.Diagnose(ctx, cfg.Sources[name], watched)) })
	}
	for i, b := range cfg.Backends {
		for j, feed := range b.Feeds {
			source, files := w.Sources[i][j], cfg.Sources[feed.Source].File != nil
			examine(fmt.Sprintf("source of %s (%s)", b.Name, source), func(f *findings) { f.examineFeed(ctx, b, feed, source, files) })
		}
	}
	wg.Wait()
	var list []api.Finding
	for _, f := range all {
		list = append(list, f.list...)
	}
	return list
}

// take adds what a package found.
func (f *findings) take(list []discovery.Finding) {
	for _, x := range list {
		f.add(x.Verdict, "%s", x.Text)
	}
}

// examineFeed asks one source of a backend as the agent does first, and looks at
// what it rests on.
func (f *findings) examineFeed(ctx context.Context, b config.Backend, feed config.Feed, source discovery.Source, files bool) {
	start := time.Now()
	reading, err := source.Next(ctx)
	if activity := discovery.ActivityOf(source); activity.Question != "" && activity.Answer != "" && (err == nil || !files) {
		verdict := api.VerdictOK
		if err != nil {
			verdict = api.VerdictWarn
		}
		f.add(verdict, "%s: %s, in %s", activity.Question, activity.Answer, textfmt.About(time.Since(start)))
	}
	switch {
	case err == nil:
		f.judgeReading(reading)
		_, refused := b.Policy.Select(reading.Endpoints())
		f.rejected(refused)
		f.judgeLeader(b.Guard, feed, reading)
	case files: // what is wrong with a file says what to do about it
		f.add(api.VerdictFail, "%s", err)
	default:
		f.add(api.VerdictFail, "%s", sourceAdvice(err))
	}
	f.take(slices.DeleteFunc(discovery.Diagnose(ctx, source), func(x discovery.Finding) bool { return err != nil && x.Text == err.Error() }))
}

func (f *findings) judgeReading(r discovery.Reading) {
	n, eps := map[discovery.State]int{}, r.Endpoints()
	for _, e := range eps {
		n[e.State]++
	}
	should := r
	should.Parts = slices.DeleteFunc(slices.Clone(r.Parts), discovery.Part.NoneYet)
	gaps := should.Gaps()
	text := fmt.Sprintf("%s: %d ready, %d draining, %d down%s", textfmt.Count(len(eps), "endpoint"),
		n[discovery.Ready], n[discovery.Drain], n[discovery.Down], note(r.Note))
	switch {
	case len(eps) == 0 && len(gaps) == 0:
		f.add(api.VerdictWarn, "it answers and knows no endpoint: is the name right, and may the token read it?%s", note(r.Note))
	case len(gaps) > 0:
		f.add(api.VerdictWarn, "%s; what the parts below listed last is kept until they are whole, or until slotsync accept", text)
	default:
		f.add(api.VerdictOK, "%s; the answer is whole: what it lacks may go", text)
	}
	for _, gap := range gaps[:min(len(gaps), maxGaps)] {
		f.add(api.VerdictWarn, "not whole: %s", gap)
	}
	if more := len(gaps) - maxGaps; more > 0 {
		f.add(api.VerdictWarn, "%d more parts are not whole", more)
	}
	f.rejected(r.Rejected)
}

func (f *findings) rejected(list []discovery.Rejection) {
	for i, x := range list {
		if i == maxRejections {
			f.add(api.VerdictWarn, "%d more are rejected", len(list)-i)
			break
		}
		f.add(api.VerdictWarn, "rejected: %s (%s)", strings.TrimSpace(x.Name+" "+x.Value), strings.ReplaceAll(x.Reason, "_", " "))
	}
}

func note(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// sourceAdvice is err and what to do about it.
func sourceAdvice(err error) string {
	what := map[discovery.Class]string{
		discovery.Transport: "is it running, and the address right?",
		discovery.Busy:      "it refuses for its load: fewer watches, or more servers",
		discovery.Server:    "it is up and does not know: look at its own log",
		discovery.Auth:      "give it a token that may read the service and its nodes",
		discovery.Config:    "correct what is asked for",
		discovery.Protocol:  "is this the right address?",
	}[discovery.ClassOf(err)]
	return err.Error() + ": " + what
}

// judgeLeader names the settings for a service of which exactly one is to be used, as with
// Patroni or Redis, where the guard is not set so: it would let the old leader get
// connections for the time of a hold.
func (f *findings) judgeLeader(rules guard.Rules, q config.Feed, r discovery.Reading) {
	if rules.RemovalHold == guard.Off && rules.TurnoverWait == guard.Off || !namesLeader(q, r) {
		return
	}
	f.add(api.VerdictWarn, "this looks like a service with exactly one leader: with guard: {removal_hold: 0s, turnover_wait: 0s} "+
		"the old one goes as soon as the new one is listed")
}

// namesLeader reports whether what is asked for is a leader, or the only endpoint is
// called one.
func namesLeader(q config.Feed, r discovery.Reading) bool {
	asked := slices.Concat([]string{q.Consul.Service, q.Consul.Filter, q.Nomad.Service, q.Nomad.Filter, q.DNS.Record, q.File.Service}, q.Consul.Tags, q.Nomad.Tags)
	if eps := r.Endpoints(); len(eps) == 1 {
		asked = append(asked, eps[0].Name)
	}
	return slices.ContainsFunc(asked, isLeader)
}

// isLeader reports whether one of the words of a name is one for the only one that
// writes.
func isLeader(name string) bool {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return !unicode.IsLetter(r) })
	return slices.ContainsFunc(words, func(w string) bool { return slices.Contains([]string{"leader", "primary", "master"}, w) })
}
