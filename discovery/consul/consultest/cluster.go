package consultest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Join starts a client agent on a node of its own that joins s, and returns when s
// knows of it. It has the services that are registered with it, asks s for
// everything else, and is killed and restarted by itself.
func (s *Server) Join(tb testing.TB, settings ...Setting) *Server {
	tb.Helper()
	s.mu.Lock()
	client := &Server{node: fmt.Sprintf("node-%d", len(s.clients)+2), token: s.token, server: s}
	s.clients = append(s.clients, client)
	s.mu.Unlock()
	return start(tb, client, settings)
}

// HTTPS gives an agent a listener for https too, whose certificate is for
// 127.0.0.1 and was issued by a.
func HTTPS(a *Authority) Setting {
	return func(s *Server) {
		s.httpsPort = freePort(s.tb)
		cert, key := a.Issue(s.tb)
		for name, content := range map[string][]byte{"cert.pem": cert, "key.pem": key} {
			if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o600); err != nil {
				s.tb.Fatal(err)
			}
		}
	}
}

// HTTPSURL is where the HTTP API is over TLS; for agents started with [HTTPS].
func (s *Server) HTTPSURL() string { return fmt.Sprintf("https://127.0.0.1:%d", s.httpsPort) }

// Node is the name of the node.
func (s *Server) Node() string { return s.node }

// config is the file that the process is started with.
func (s *Server) config() map[string]any {
	ports := map[string]any{
		"http": s.httpPort, "https": -1, "dns": s.dnsPort, "serf_lan": s.lanPort, "server": s.raftPort, "grpc": -1, "serf_wan": -1,
	}
	c := map[string]any{
		"node_name": s.node, "data_dir": filepath.Join(s.dir, "data"), "ports": ports,
		"bind_addr": "127.0.0.1", "client_addr": "127.0.0.1", "disable_update_check": true, "disable_host_node_id": true, "log_level": "warn",
		"leave_on_terminate": s.server != nil, "retry_join": s.others(), "retry_interval": "1s",
		"performance": map[string]any{"raft_multiplier": 1},
		"dns_config":  map[string]any{"allow_stale": true},
		"gossip_lan":  map[string]any{"gossip_interval": "50ms", "probe_interval": "200ms", "probe_timeout": "200ms"},
	}
	if s.server == nil {
		c["server"], c["bootstrap"] = true, true
	}
	if s.httpsPort != 0 {
		ports["https"] = s.httpsPort
		c["cert_file"], c["key_file"] = filepath.Join(s.dir, "cert.pem"), filepath.Join(s.dir, "key.pem")
	}
	if s.token != "" {
		c["acl"] = map[string]any{
			"enabled": true, "default_policy": "deny",
			"tokens": map[string]any{"master": s.token, "agent": s.token},
		}
	}
	return c
}

// others are the processes that this one looks for when it starts: one whose data
// were removed knows of none.
func (s *Server) others() []string {
	addresses := []string{}
	if s.server != nil {
		return append(addresses, s.server.lanAddr())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clients {
		addresses = append(addresses, c.lanAddr())
	}
	return addresses
}

func (s *Server) lanAddr() string { return fmt.Sprintf("127.0.0.1:%d", s.lanPort) }

// Connections counts the connections to the agent's HTTP API that are established
// on this machine, whoever they belong to.
func (s *Server) Connections() int {
	s.tb.Helper()
	raw, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		s.tb.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(raw)) {
		// Number, local and remote address, state: 1 is established.
		f := strings.Fields(line)
		if len(f) < 4 || f[3] != "01" {
			continue
		}
		_, hex, _ := strings.Cut(f[2], ":")
		if port, err := strconv.ParseUint(hex, 16, 16); err == nil && (int(port) == s.httpPort || int(port) == s.httpsPort) {
			n++
		}
	}
	return n
}
