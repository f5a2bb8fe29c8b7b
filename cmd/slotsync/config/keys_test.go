package config

import (
	"reflect"
	"strings"
	"testing"
)

// A watch goes on over a reload exactly if nothing changed that changes the answer;
// what its source once listed stays known to be its own unless it is asked for
// something else, or somebody else is asked.
func TestKeysOfFeeds(t *testing.T) {
	base := map[string]string{
		"consul": "haproxy: {instances: [{name: e, socket: /run/a.sock}]}\nsources: [{name: s, type: consul, tls: {insecure_skip_verify: false}}]\nbackends: [{name: w, source: s, service: w}]\n",
		"dns":    "haproxy: {instances: [{name: e, socket: /run/a.sock}]}\nsources: [{name: s, type: dns, servers: ['127.0.0.1:1']}]\nbackends: [{name: w, source: s, record: w.x, type: A, port: 80}]\n",
		"file":   "haproxy: {instances: [{name: e, socket: /run/a.sock}]}\nsources: [{name: s, type: file, path: /e.yaml}]\nbackends: [{name: w, source: s, service: w}]\n",
		"nomad":  "haproxy: {instances: [{name: e, socket: /run/a.sock}]}\nsources: [{name: s, type: nomad, tls: {insecure_skip_verify: false}}]\nbackends: [{name: w, source: s, service: w}]\n",
	}
	const nothing, answer, question = 0, 1, 2
	all := map[string]int{
		"source name: s2": nothing, "leave: drain": nothing, "drain: 1s": nothing, "drain_shutdown: true": nothing, "on_all_unhealthy: keep": nothing, "guard: {window: 1m}": nothing,
		"max_slots: 5": nothing, "slots: x": nothing, "external: repair": nothing, "dynamic: true": nothing, "backend: v": nothing,
		"family: v4": answer, "allow: [10.0.0.0/8]": answer, "deny: [10.0.0.0/8]": answer,
	}
	http := map[string]int{
		"source address: 'http://h:1'": question, "source namespace: n": question, "source wait: 30s": answer, "source poll_interval: 5s": answer,
		"source token_file: /t": answer, "tls ca_file: /x": answer, "tls ca_path: /x": answer, "tls cert_file: /x, key_file: /y": answer,
		"tls server_name: n": answer, "tls insecure_skip_verify: true": answer, "service: v": question, "tags: [a]": question, "filter: a": question,
	}
	own := map[string]map[string]int{
		"consul": {"source datacenter: d": question, "source partition: p": question, "source consistency: default": answer, "source max_stale: 1s": answer,
			"node_meta: ['a:b']": question, "address_tag: wan": question, "port_name: p": question, "default_port: 1": question, "datacenter: d": question,
			"health: any": answer, "ignore_node_health: true": answer},
		"dns": {"source servers: ['127.0.0.1:2']": question, "source tcp: never": answer, "source search: true": question, "source timeout: 1s": answer,
			"source min_refresh: 1s": answer, "source max_refresh: 1m": answer, "source answers: full": answer, "source hold_obsolete: 2m": answer,
			"record: v.x": question, "type: AAAA": question, "port: 81": question},
		"file":  {"source path: /f.yaml": question, "service: v": question},
		"nomad": {"source region: r": question},
	}
	seen := map[string]bool{"source name": true, "source type": true, "source tls": true, "name": true, "instances": true, "source": true,
		"from": true, "failover": true, "endpoints": true, "dynamic_options": true, "tls key_file": true}
	for kind, text := range base {
		tables := []map[string]int{all, own[kind]}
		if kind == "consul" || kind == "nomad" {
			tables = append(tables, http)
		}
		before := feedOf(t, text)
		for _, table := range tables {
			for change, want := range table {
				after := feedOf(t, changed(text, change))
				got := nothing
				if after.Key != before.Key {
					got = answer
				}
				if after.Identity != before.Identity {
					got = question
				}
				if got != want {
					t.Errorf("%s: %s changes %d, want %d (0 nothing, 1 the answer, 2 the question)", kind, change, got, want)
				}
				seen[strings.Split(change, ":")[0]] = true
			}
		}
	}
	for prefix, raw := range map[string]reflect.Type{"source ": reflect.TypeFor[sourceKeys](), "tls ": reflect.TypeFor[tlsKeys](), "": reflect.TypeFor[backendKeys]()} {
		for key := range members(raw) {
			if !seen[prefix+key] {
				t.Errorf("%s%s is in no table above", prefix, key)
			}
		}
	}
}

func feedOf(t *testing.T, text string) Feed {
	t.Helper()
	cfg, err := parse(text, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return cfg.Backends[0].Feeds[0]
}

// changed gives a source ("source key: value"), its tls or the backend another
// value of a key.
func changed(text, change string) string {
	where := "{name: w, "
	if rest, ok := strings.CutPrefix(change, "source "); ok {
		where, change = "{name: s, ", rest
	}
	if rest, ok := strings.CutPrefix(change, "tls "); ok {
		if rest == "insecure_skip_verify: true" {
			return strings.Replace(text, "insecure_skip_verify: false", rest, 1)
		}
		return strings.Replace(text, "tls: {", "tls: {"+rest+", ", 1)
	}
	key, _, _ := strings.Cut(change, ":")
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		at := strings.Index(line, where)
		if at < 0 {
			continue
		}
		if key == "name" {
			text = strings.ReplaceAll(strings.ReplaceAll(text, where, "{"+change+", "), "source: s,", "source: "+strings.TrimPrefix(change, "name: ")+",")
			return text
		}
		old := at + len(where)
		if has := strings.Index(line[old:], key+": "); has >= 0 && (has == 0 || line[old+has-1] == ' ') {
			end := strings.IndexAny(line[old+has:], ",}")
			lines[i] = line[:old+has] + change + line[old+has+end:]
		} else {
			lines[i] = line[:old] + change + ", " + line[old:]
		}
	}
	return strings.Join(lines, "\n")
}
