package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/agent/guard"
)

// This file finds keys that are sound and change nothing beside what else is configured.
// They are warned of and not refused: what they are without may come or go with the next
// edit.

// useless warns that the keys of path, where somebody wrote them and not their default,
// have no effect.
func (c *checker) useless(path, why string, keys ...string) {
	for _, key := range keys {
		here := join(path, key)
		at, ok := c.places[here]
		if !ok || c.usual[here] || c.inherited[here] != "" || !ours(at.name) {
			continue // what Consul's own variables say is for its other tools, too
		}
		c.warnings = append(c.warnings, newFault(at, here, "has no effect %s", why))
	}
}

// ours reports whether what has the name of a variable or flag, or is in the file, is
// meant for slotsync alone.
func ours(name string) bool {
	return name == "" || strings.HasPrefix(name, "--") || strings.HasPrefix(name, ourVariables)
}

func (c *checker) effects(root *rootKeys, cfg *Config) {
	c.reloadEffects("reload", root.Reload, root.StateDir)
	if !root.Reload.None && len(root.HAProxy.Instances) > 0 && !slices.ContainsFunc(cfg.Reloads, func(r Reload) bool { return r.Name == defaultReload }) {
		c.useless("", "since each instance has a reload of its own, or none", "reload")
	}
	for i, in := range root.HAProxy.Instances {
		path := fmt.Sprintf("haproxy.instances[%d]", i)
		c.reloadEffects(path+".reload", in.Reload, root.StateDir)
		if !slices.ContainsFunc(cfg.Backends, func(b Backend) bool { return len(b.Instances) == 0 || slices.Contains(b.Instances, in.Name) }) {
			c.useless(path, "since no backend is on this instance", "name")
		}
	}
	for i, s := range root.Sources {
		c.sourceEffects(fmt.Sprintf("sources[%d]", i), s, cfg.Backends)
	}
	c.guardEffects("guard", root.Guard)
	c.defaultEffects(reflect.TypeFor[defaultKeys](), outermost)
	for i, b := range cfg.Backends {
		c.backendEffects(fmt.Sprintf("backends[%d]", i), &root.Backends[i], b, cfg)
	}
	if root.HTTP.Socket == "" {
		c.useless("http", "without http.socket", "socket_group", "socket_mode")
	}
	if root.HTTP.Listen == "" {
		c.useless("http", "without http.listen", "token_file", "hosts")
	}
}

func (c *checker) reloadEffects(path string, r Reload, stateDir string) {
	if r.None {
		// what the environment says beside it
		c.useless(path, "with reload: none", "master", "template", "file", "keep", "min_interval", "max_per_hour", "jitter", "timeout")
		return
	}
	switch {
	case r.File == "":
		c.useless(path, "without file", "keep")
	case stateDir == nothingKept:
		c.useless(path, "with state_dir: none", "keep")
	}
	if r.Template == "" {
		c.useless(path, "without template: there is no reload then that nobody asked for", "min_interval", "max_per_hour", "jitter")
	}
}

func (c *checker) sourceEffects(path string, s sourceKeys, backends []Backend) {
	asked := slices.ContainsFunc(backends, func(b Backend) bool {
		return slices.ContainsFunc(b.Feeds, func(f Feed) bool { return f.Source == s.Name })
	})
	if !asked {
		c.useless(path, "since no backend asks this source", "name")
	}
	if s.Type == "consul" || s.Type == "nomad" {
		c.tlsEffects(path+".tls", s.TLS, strings.HasPrefix(s.Address, "https://"))
	}
	if s.Answers == "full" {
		c.useless(path, "with answers: full", "hold_obsolete")
	}
	if s.Consistency == "default" {
		c.useless(path, "with consistency: default: the leader is never behind", "max_stale")
	}
}

func (c *checker) tlsEffects(path string, r tlsKeys, spoken bool) {
	switch {
	case !spoken:
		c.useless(path, "without an address of https://", "ca_file", "ca_path", "cert_file", "key_file", "server_name", "insecure_skip_verify")
	case r.InsecureSkipVerify:
		c.useless(path, "with insecure_skip_verify: true", "ca_file", "ca_path")
	}
}

func (c *checker) guardEffects(path string, g guardKeys) {
	if g.RemovalHold == guard.Off {
		c.useless(path, "with removal_hold: 0s", "max_removal", "window", "min_endpoints")
	}
}

func (c *checker) backendEffects(path string, r *backendKeys, b Backend, cfg *Config) {
	if !b.DrainFirst && !b.DrainShutdown {
		c.useless(path, "without leave: drain or drain_shutdown: true", "drain")
	}
	rendered := slices.ContainsFunc(cfg.Reloads, func(r Reload) bool { return r.Template != "" && r.serves(b) })
	if !b.Dynamic && !rendered {
		c.useless(path, "without dynamic: true or a template: no slots are added", "max_slots")
	}
	if !slices.ContainsFunc(b.Feeds, func(f Feed) bool { return cfg.Sources[f.Source].Consul != nil }) {
		c.useless(path, "without a source of type consul: others list no unhealthy endpoints", "on_all_unhealthy")
	}
	c.guardEffects(path+".guard", r.Guard)
	c.healthEffects(path, r.feedKeys)
	for i, f := range r.From {
		c.healthEffects(fmt.Sprintf("%s.from[%d]", path, i), f.feedKeys)
	}
}

func (c *checker) healthEffects(path string, f feedKeys) {
	if f.Health == "any" && f.IgnoreNodeHealth {
		c.useless(path, "with health: any", "ignore_node_health")
	}
}
