package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ways shows the reloads of a configuration, without their keys.
func ways(t *testing.T, text string, env Environment) []Reload {
	t.Helper()
	cfg, err := parse(text, env)
	if err != nil {
		t.Fatal(err)
	}
	for i := range cfg.Reloads {
		cfg.Reloads[i].Key = ""
	}
	return cfg.Reloads
}

func TestReloads(t *testing.T) {
	const three = "haproxy: {instances: [{name: a, socket: /a}, {name: b, socket: /b, reload: none}, {name: c, socket: /c, reload: {command: [systemctl, reload, c]}}]}\n"
	const slots = "backends: [{name: web, slots: s, endpoints: ['10.0.0.1:80']}]\n"
	with := func(change func(*Reload)) Reload {
		r := Reload{Name: "haproxy", Instances: []string{"edge"}, Keep: 10, MaxPerHour: 10,
			MinInterval: 30 * time.Second, Jitter: 5 * time.Second, Timeout: time.Minute}
		change(&r)
		return r
	}
	bounds := "reload: {master: /m, keep: 1, max_per_hour: 1000, min_interval: 0s, jitter: 0s, timeout: 1h}\n"
	tests := []struct {
		name, text string
		env        Environment
		want       []Reload
	}{
		{"absent", minimal, nil, nil},
		{"none", minimal + "reload: none\n", nil, nil},
		{"defaults", minimal + "reload: {master: /m}\n", nil, []Reload{with(func(r *Reload) { r.Master = "/m" })}},
		{"command", minimal + "reload: {command: [/bin/systemctl, reload, haproxy]}\n", nil,
			[]Reload{with(func(r *Reload) { r.Command = []string{"/bin/systemctl", "reload", "haproxy"} })}},
		{"bounds", minimal + bounds, nil, []Reload{with(func(r *Reload) {
			r.Master, r.Keep, r.MaxPerHour, r.MinInterval, r.Jitter, r.Timeout = "/m", 1, 1000, 0, 0, time.Hour
		})}},
		{"environment", minimal + "reload: {master: /m}\n", Environment{"SLOTSYNC_RELOAD_MIN_INTERVAL": "2m", "SLOTSYNC_RELOAD_KEEP": "3"},
			[]Reload{with(func(r *Reload) { r.Master, r.MinInterval, r.Keep = "/m", 2*time.Minute, 3 })}},
		{"environment alone", minimal, Environment{"SLOTSYNC_RELOAD_MASTER": "tcp://127.0.0.1:9"},
			[]Reload{with(func(r *Reload) { r.Master = "tcp://127.0.0.1:9" })}},
		{"an interval of nothing", minimal, Environment{"SLOTSYNC_RELOAD_MIN_INTERVAL": "2m"}, nil},
		{"template", "haproxy: {instances: [{name: edge, socket: /a}]}\n" + slots + "reload: {master: /m, template: /t, file: /f, check: [haproxy, -c, -f, '{{.File}}']}\n", nil,
			[]Reload{with(func(r *Reload) {
				r.Master, r.Template, r.File, r.Check = "/m", "/t", "/f", []string{"haproxy", "-c", "-f", "{{.File}}"}
			})}},
		{"own, none and shared", three + slots + "reload: {master: /m}\n", nil, []Reload{
			with(func(r *Reload) { r.Master, r.Instances = "/m", []string{"a"} }),
			with(func(r *Reload) {
				r.Name, r.Instances, r.Command = "c", []string{"c"}, []string{"systemctl", "reload", "c"}
			})}},
		{"own alone", three + slots, nil, []Reload{with(func(r *Reload) {
			r.Name, r.Instances, r.Command = "c", []string{"c"}, []string{"systemctl", "reload", "c"}
		})}},
		{"slots are found where nothing is rendered", strings.Replace(three, "command: [systemctl, reload, c]", "master: /m, template: /t, file: /f", 1) +
			"backends: [{name: web, instances: [a, b], endpoints: ['10.0.0.1:80']}]\n", nil,
			[]Reload{with(func(r *Reload) {
				r.Name, r.Instances, r.Master, r.Template, r.File = "c", []string{"c"}, "/m", "/t", "/f"
			})}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, ways(t, tt.text, tt.env), cmp.AllowUnexported(Reload{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReloadFaults(t *testing.T) {
	const own = "haproxy: {instances: [{name: edge, socket: /a, reload: {%}}, {name: b, socket: /b}]}\nbackends: [{name: web, slots: s, endpoints: ['10.0.0.1:80']}]\n"
	tests := []struct{ name, reload, want string }{
		{"empty", "", `3:9: reload: how is HAProxy reloaded? Set master (the socket of its master CLI) or command`},
		{"neither", "keep: 3", `3:9: reload: how is HAProxy reloaded?`},
		{"empty command", "command: []", `3:9: reload: how is HAProxy reloaded?`},
		{"both", "master: /m, command: [x]", `3:31: reload.command: master is set as well: only one of the two reloads`},
		{"relative master", "master: run/m.sock", `reload.master: "run/m.sock" is not an absolute path`},
		{"long master", "master: /" + strings.Repeat("x", 107), `reload.master: the path is 108 bytes long`},
		{"no program", "command: ['', x]", `reload.command: the first word is the program, and it is empty`},
		{"a shell's command", "command: [systemctl reload haproxy]", `reload.command: "systemctl reload haproxy" is one word: there is no shell`},
		{"relative program", "command: [bin/reload]", `reload.command: "bin/reload" is neither an absolute path nor a name`},
		{"command as text", "command: systemctl reload haproxy", `reload.command: wants a list, not the string`},
		{"template without file", "master: /m, template: /t", `reload.template: file is missing`},
		{"relative template", "master: /m, template: t, file: /f", `reload.template: "t" is not an absolute path`},
		{"relative file", "master: /m, template: /t, file: f", `reload.file: "f" is not an absolute path`},
		{"template is file", "master: /m, template: /x/../f, file: /f", `reload.template: is file itself`},
		{"check of nothing", "master: /m, file: /f, check: [haproxy, -c, -f, /f]", `reload.check: has no argument {{.File}}`},
		{"check is the file", "master: /m, file: /f, check: ['{{.File}}']", `reload.check: has no argument {{.File}}`},
		{"check by a shell", "master: /m, file: /f, check: ['haproxy -c -f {{.File}}']", `is one word: there is no shell`},
		{"check without file", "master: /m, check: [haproxy, -c, -f, '{{.File}}']", `reload.check: has no effect without file`},
		{"keep 0", "master: /m, keep: 0", `reload.keep: 0 is not within 1 and 1000`},
		{"keep nothing", "master: /m, file: /f, keep: ", `reload.keep: missing value: wants a whole number`},
		{"keep many", "master: /m, keep: 1001", `reload.keep: 1001 is not within 1 and 1000`},
		{"keep as text", "master: /m, keep: '3'", `reload.keep: wants a whole number, not the string "3"`},
		{"never an hour", "master: /m, max_per_hour: 0", `reload.max_per_hour: 0 is not within 1 and 1000`},
		{"long interval", "master: /m, min_interval: 25h", `reload.min_interval: 25h is not within 0s and 24h`},
		{"negative jitter", "master: /m, jitter: -1s", `reload.jitter: -1s is not within 0s and 1h`},
		{"no time", "master: /m, timeout: 0s", `reload.timeout: 0s is not within 1s and 1h`},
		{"number for a duration", "master: /m, timeout: 5", `reload.timeout: 5 has no unit: write "5s"`},
		{"unknown key", "master: /m, intervall: 5s", `reload: unknown key "intervall"`},
		{"none is no key", "none: true", `reload: unknown key "none"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantFault(t, minimal+"reload: {"+tt.reload+"}\n", tt.want)
			// the same of an instance, at its place
			_, text, _ := strings.Cut(tt.want, "reload")
			wantFault(t, strings.Replace(own, "%", tt.reload, 1), "haproxy.instances[0].reload"+text)
		})
	}
}

func wantFault(t *testing.T, text, want string) {
	t.Helper()
	_, err := parse(text, nil)
	if err == nil {
		t.Fatalf("no fault in\n%s", text)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("got\n%s\nwant\n%s", err, want)
	}
	wantSchemaToSee(t, text, want)
}

func TestReloadFaultsAcross(t *testing.T) {
	instances := func(reloads ...string) string {
		text := "haproxy:\n  instances:\n"
		for i, r := range reloads {
			text += "    - {name: " + string(rune('a'+i)) + ", socket: /" + string(rune('a'+i)) + ", " + r + "}\n"
		}
		return text
	}
	const bare, rendered = "backends: [{name: web, endpoints: ['10.0.0.1:80']}]\n", "reload: {master: /m, template: /t, file: /f}"
	const slots = "backends: [{name: web, slots: s, endpoints: ['10.0.0.1:80']}]\n"
	own := func(name string) string {
		return "haproxy: {instances: [{name: " + name + ", socket: /a, reload: {master: /n}}, {name: b, socket: /b}]}\n" + bare + "reload: {master: /m}\n"
	}
	tests := []struct{ name, text, want string }{
		{"a word", minimal + "reload: never\n", `3:9: reload: wants keys and values, not the string "never"`},
		{"nothing", minimal + "reload:\n", `3:8: reload: how is HAProxy reloaded?`},
		{"a list", minimal + "reload: [x]\n", `reload: wants keys and values, not a list`},
		{"an instance's word", instances("reload: never") + bare, `haproxy.instances[0].reload: wants keys and values, not the string "never"`},
		{"template without slots", minimal + rendered, `2:12: backends[0]: slots is missing: a template needs to know how the servers of web are named`},
		{"an instance's template without slots", instances(rendered) + bare, `backends[0]: slots is missing`},
		{"two renders", instances(rendered, strings.Replace(rendered, "/f", "/./f", 1)) + slots, `haproxy.instances: reloads "a" and "b" render the same file /./f`},
		{"an instance renders the default's", instances("reload: {master: /m, template: /u, file: /f}", "state_file: /s") + slots + rendered, `render the same file /f`},
		{"own reload named as the default", own("haproxy"), `an instance named "haproxy" cannot have a reload of its own beside the default`},
		{"a folder that is none", own("'..'"), `an instance named ".." cannot have a reload of its own`},
		{"hostile options", "haproxy: {instances: [{name: a, socket: /a}]}\nbackends: [{name: web, dynamic: true, dynamic_options: \"check; shutdown frontend x\", endpoints: ['10.0.0.1:80']}]\n",
			`2:56: backends[0].dynamic_options: options "check; shutdown frontend x": only letters`},
		{"a refused option", "haproxy: {instances: [{name: a, socket: /a}]}\nbackends: [{name: web, dynamic: true, dynamic_options: check weight 3, endpoints: ['10.0.0.1:80']}]\n",
			`backends[0].dynamic_options: option "weight": weights come from the source`},
		{"options of nothing", "haproxy: {instances: [{name: a, socket: /a}]}\nbackends: [{name: web, dynamic_options: check, endpoints: ['10.0.0.1:80']}]\n",
			`backends[0].dynamic_options: has no effect without dynamic: true`},
		{"max_slots", "haproxy: {instances: [{name: a, socket: /a}]}\nbackends: [{name: web, max_slots: 0, endpoints: ['10.0.0.1:80']}]\n",
			`backends[0].max_slots: 0 is not within 1 and 100000`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantFault(t, tt.text, tt.want) })
	}
	for want, env := range map[string]Environment{
		`SLOTSYNC_RELOAD_MIN_INTERVAL: "soon" is not a duration`:        {"SLOTSYNC_RELOAD_MIN_INTERVAL": "soon"},
		`SLOTSYNC_RELOAD_KEEP: wants a whole number, not "many"`:        {"SLOTSYNC_RELOAD_KEEP": "many"},
		`SLOTSYNC_RELOAD_MAX_PER_HOUR: 0 is not within 1 and 1000`:      {"SLOTSYNC_RELOAD_MAX_PER_HOUR": "0"},
		`SLOTSYNC_RELOAD_MASTER: "m" is not an absolute path, unix:///`: {"SLOTSYNC_RELOAD_MASTER": "m"},
	} {
		if _, err := parse(minimal+"reload: {master: /m}\n", env); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", env, err)
		}
	}
}

// A reload is another one, for those who go on over a reading of the
// configuration, exactly if something of it changed.
func TestReloadKeys(t *testing.T) {
	keyOf := func(text string) string {
		cfg, err := parse(minimal+text, nil)
		if err != nil {
			t.Fatal(err)
		}
		return cfg.Reloads[0].Key
	}
	was := keyOf("reload: {master: /m}\n")
	if keyOf("log: {level: debug}\nreload: {master: /m}\n") != was {
		t.Error("it is another one because of something else")
	}
	for _, text := range []string{"master: /n", "master: /m, keep: 3", "master: /m, file: /f", "master: /m, jitter: 1s"} {
		if keyOf("reload: {"+text+"}\n") == was {
			t.Errorf("%s is not another one", text)
		}
	}
}
