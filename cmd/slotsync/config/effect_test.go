package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Keys that change nothing beside what else is configured are warned of, where they are.
func TestWithoutEffect(t *testing.T) {
	const head = "haproxy: {instances: [{name: edge, socket: /run/a.sock}]}\n"
	const fixed = "backends: [{name: web, endpoints: ['10.0.0.1:80'], %}]\n"
	with := func(keys string) string { return head + strings.Replace(fixed, "%", keys, 1) }
	const consul = "backends: [{name: w, source: c, service: w}]\nsources: [{name: c, type: consul, %}]\n"
	of := func(keys string) string { return head + strings.Replace(consul, "%", keys, 1) }
	const dns = head + "backends: [{name: w, source: d, record: a.b, port: 80}]\nsources: [{name: d, type: dns, answers: full, hold_obsolete: 5s}]\n"
	tests := []struct {
		name, text string
		want       []string
	}{
		{"nothing", minimal, nil},
		{"none beside the environment", minimal + "reload: none\n", []string{"SLOTSYNC_RELOAD_MASTER: has no effect with reload: none"}},
		{"defaults", with("drain: 30s, max_slots: 1000, on_all_unhealthy: auto, guard: {removal_hold: 0s, window: 5m, max_removal: 50%, min_endpoints: 0}") +
			"reload: {master: /m, keep: 10, min_interval: 30s, max_per_hour: 10, jitter: 5s}\nhttp: {listen: '', socket: '', hosts: [], token_file: '', socket_mode: '0660', socket_group: ''}\n", nil},
		{"reload beside the instances' own", "haproxy: {instances: [{name: edge, socket: /run/a.sock, reload: none}]}\n" + strings.Replace(fixed, ", %", "", 1) + "reload: {master: /m}\n",
			[]string{"3:9: reload: has no effect since each instance has a reload of its own, or none"}},
		{"reload without file", minimal + "reload: {master: /m, keep: 3, min_interval: 1s, max_per_hour: 3, jitter: 1s, timeout: 3s}\n", []string{
			"3:28: reload.keep: has no effect without file",
			"3:45: reload.min_interval: has no effect without template",
			"3:63: reload.max_per_hour: has no effect without template",
			"3:74: reload.jitter: has no effect without template"}},
		{"an instance's reload", "haproxy: {instances: [{name: edge, socket: /run/a.sock, reload: {master: /m, keep: 3}}]}\n" + strings.Replace(fixed, ", %", "", 1),
			[]string{"1:84: haproxy.instances[0].reload.keep: has no effect without file"}},
		{"keep nowhere", minimal + "reload: {master: /m, file: /f, keep: 3}\nstate_dir: none\n", []string{"3:38: reload.keep: has no effect with state_dir: none"}},
		{"drain", with("drain: 5s"), []string{"2:59: backends[0].drain: has no effect without leave: drain or drain_shutdown"}},
		{"drain that drains", with("drain: 5s, leave: drain"), nil},
		{"drain that ends", with("drain: 5s, drain_shutdown: true"), nil},
		{"max_slots", with("max_slots: 9"), []string{"backends[0].max_slots: has no effect without dynamic: true or a template"}},
		{"max_slots of dynamic servers", with("max_slots: 9, dynamic: true"), nil},
		{"max_slots of a template", with("slots: s, max_slots: 9") + "reload: {master: /m, file: /f, template: /t}\n", nil},
		{"unhealthy ones that nobody lists", with("on_all_unhealthy: keep"), []string{"on_all_unhealthy: has no effect without a source of type consul"}},
		{"removals that are not held", with("guard: {removal_hold: 0s, window: 1m, max_removal: 3%, min_endpoints: 1}"), []string{"guard.window: ", "guard.max_removal: ", "guard.min_endpoints: "}},
		{"removals that nobody holds", minimal + "guard: {removal_hold: 0s, window: 1m}\n", []string{"3:35: guard.window: has no effect with removal_hold: 0s"}},
		{"socket", minimal + "http: {socket: '', socket_mode: '0600', socket_group: x}\n", []string{"http.socket_mode: has no effect without http.socket", "http.socket_group: "}},
		{"listener", minimal + "http: {listen: '', token_file: /t, hosts: [x]}\n", []string{"http.token_file: has no effect without http.listen", "http.hosts: "}},
		{"TLS of http", of("tls: {ca_file: /a, server_name: x}"), []string{"sources[0].tls.ca_file: has no effect without an address of https://", "sources[0].tls.server_name: "}},
		{"authorities that nobody asks", of("address: 'https://h', tls: {ca_file: /a, insecure_skip_verify: true}"), []string{"sources[0].tls.ca_file: has no effect with insecure_skip_verify: true"}},
		{"a leader that is behind", of("consistency: default, max_stale: 3s"), []string{"sources[0].max_stale: has no effect with consistency: default"}},
		{"parts of what is whole", dns, []string{"sources[0].hold_obsolete: has no effect with answers: full"}},
		{"a source that nobody asks", minimal + "sources: [{name: c, type: consul}]\n", []string{"3:18: sources[0].name: has no effect since no backend asks this source"}},
		{"an instance of nothing", "haproxy: {instances: [{name: edge, socket: /run/a.sock}, {name: b, socket: /b}]}\nbackends: [{name: w, instances: [edge], endpoints: ['10.0.0.1:80']}]\n",
			[]string{"1:65: haproxy.instances[1].name: has no effect since no backend is on this instance"}},
		{"node health", strings.Replace(of("wait: 60s"), "service: w", "service: w, health: any, ignore_node_health: true", 1), []string{"backends[0].ignore_node_health: has no effect with health: any"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var env Environment
			if strings.Contains(tt.name, "environment") {
				env = Environment{"SLOTSYNC_RELOAD_MASTER": "/m"}
			}
			cfg, err := parse(tt.text, env)
			if err != nil {
				t.Fatal(err)
			}
			got := cfg.Warnings.Lines()
			if len(got) != len(tt.want) {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
			for i, line := range got {
				if !strings.Contains(line, tt.want[i]) {
					t.Errorf("got %q, want %q", line, tt.want[i])
				}
			}
		})
	}
}

// What Consul's tools are told is not slotsync's to warn of; its own variables are.
func TestWithoutEffectOfTheEnvironment(t *testing.T) {
	text := minimal + "sources: [{name: c, type: consul}]\nreload: {master: /m}\n"
	text = strings.Replace(text, "endpoints: ['10.0.0.1:80']", "source: c, service: w", 1)
	cfg, err := parse(text, Environment{"CONSUL_CACERT": "/a", "SLOTSYNC_RELOAD_KEEP": "3"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"SLOTSYNC_RELOAD_KEEP: has no effect without file"}, cfg.Warnings.Lines()); diff != "" {
		t.Error(diff)
	}
}
