package setup

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// A Source is where services are looked up.
type Source struct {
	Type    string // consul, dns
	Address string // of Consul; "": the environment says it
	Servers []string
}

// plain are the texts that mean themselves in YAML without quotes.
var plain = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./:-]*$`)

// quote returns text as a YAML scalar. Everything that is not evidently plain is written as
// JSON, which is YAML (YAML 1.2.2, 1.2).
func quote(text string) string {
	switch strings.ToLower(text) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
	default:
		if plain.MatchString(text) && !strings.HasSuffix(text, ":") {
			return text
		}
	}
	return quoted(text)
}

func quoted(text string) string {
	out, _ := json.Marshal(text) // a string has no error
	return string(out)
}

// File returns slotsync.yaml for what was proposed and agreed to.
func File(instances []Instance, source Source, list []Proposal) []byte {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Proposed by `slotsync init`. What it does before it runs:")
	line("#   slotsync check && slotsync doctor && slotsync plan")
	line("haproxy:\n  instances:")
	for _, in := range instances {
		line("    # HAProxy %s, level %s", textfmt.OneLine(in.Version), textfmt.OneLine(in.Level))
		line("    - name: %s\n      socket: %s", quote(in.Name), quote(in.Socket))
		if in.StateFile != "" {
			line("      # HAProxy loads it at its start, so that it starts filled.\n      state_file: %s", quote(in.StateFile))
		} else {
			line("      # Without a state file a restarted HAProxy is empty for a moment. It takes these lines in")
			line("      # HAProxy's configuration, and this folder to be there, writable for slotsync:")
			line("      #   global:   server-state-base /var/lib/slotsync/servers")
			line("      #   defaults: load-server-state-from-file local")
			line("      #             server-state-file-name use-backend-name")
			line("      # state_file: /var/lib/slotsync/servers/{backend}")
		}
	}
	line("\nsources:")
	line("  - name: %s\n    type: %s", source.Type, source.Type)
	switch {
	case source.Type == "consul":
		if source.Address != "" {
			line("    address: %s", quote(source.Address))
		}
		line("    # With ACLs, a token that may read the services and their nodes:")
		line("    # token_file: /etc/slotsync/consul.token")
	case len(source.Servers) > 0:
		list := make([]string, len(source.Servers))
		for i, s := range source.Servers {
			list[i] = quoted(s)
		}
		line("    servers: [%s]", strings.Join(list, ", "))
	}
	line("\nbackends:")
	for _, p := range list {
		if !p.fills() {
			continue
		}
		line("  # %d slots, %s to %s: %s", p.Slots, textfmt.OneLine(p.First), textfmt.OneLine(p.Last), textfmt.OneLine(p.Why))
		if names := p.prefixes(); names != "" {
			line("  # The prefix of its slots is found at each HAProxy: %s", textfmt.OneLine(names))
			line("  - name: %s\n    source: %s", quote(p.Proxy), source.Type)
		} else {
			line("  - name: %s\n    slots: %s\n    source: %s", quote(p.Proxy), quote(p.Prefix), source.Type)
		}
		if len(p.At) < len(instances) {
			line("    instances: [%s]", strings.Join(p.instances(), ", "))
		}
		key := "service"
		if source.Type == "dns" {
			key = "record"
		}
		line("    %s: %s", key, quote(p.Service))
		if p.Port > 0 {
			line("    port: %d", p.Port)
		}
	}
	return []byte(b.String())
}

// Follows reports whether the file of these would have a backend.
func Follows(list []Proposal) bool { return slices.ContainsFunc(list, Proposal.fills) }
