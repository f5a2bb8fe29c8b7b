package doctor

import (
	"slices"
	"strings"
	"unicode"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/discovery"
)

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
