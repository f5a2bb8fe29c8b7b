package daemon

import (
	"strings"
	"testing"
)

func TestNeedRestart(t *testing.T) {
	const minimal = "haproxy: {instances: [{name: edge, socket: /run/a.sock}]}\nbackends: [{name: web, endpoints: ['10.0.0.1:80']}]\n"
	old := configOf(t, minimal)
	for key, text := range map[string]string{
		"state_dir": "state_dir: /x", "http.listen": "http: {listen: ''}", "http.socket": "http: {socket: ''}",
		"http.hosts": "http: {hosts: [x]}", "http.loopback": "http: {loopback: operate}", "http.max_for": "http: {max_for: 2d}", "http.socket_mode": "http: {socket_mode: '0600'}", "http.socket_group": "http: {socket_group: x}",
		"log.format": "log: {format: json}", "": "log: {level: debug}",
	} {
		if got := strings.Join(needRestart(old, configOf(t, minimal+text)), " "); got != key {
			t.Errorf("%s: %q", text, got)
		}
	}
}
