package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// tlsAgent runs the program with a listener that exporter-toolkit checks, until the test
// ends, in a folder with all that is needed to ask it and some that is not.
func tlsAgent(t *testing.T) (v *vault, listen, config string) {
	t.Helper()
	v = &vault{t: t, dir: t.TempDir()}
	v.certificate()
	v.file("web.yml", "tls_server_config: {cert_file: server.crt, key_file: server.key, client_auth_type: VerifyClientCertIfGiven, client_ca_file: server.crt}\n"+
		"basic_auth_users: {ann: '"+canaryHash+"'}\n")
	v.file("token", canaryToken+"\n")
	v.file("password", canaryPassword+"\n")
	v.file("wrong", "x"+canaryPassword+"\n")
	v.file("lines", canaryPassword+"\n"+canaryPassword+"\n")
	listen = fmt.Sprintf("127.0.0.1:%d", haproxytest.FreePort(t))
	config = v.file("slotsync.yaml", fmt.Sprintf(`
haproxy: {instances: [{name: edge, socket: %[1]s/none.sock}]}
backends: [{name: web, slots: web, endpoints: ["127.0.0.9:80"]}]
http: {listen: "%[2]s", socket: "", token_file: %[1]s/token, web_config_file: %[1]s/web.yml}
state_dir: %[1]s/state
`, v.dir, listen))
	program := v.slotsync("run", "--config", config)
	runProgram(t, program, v.all)
	eventually(t, 10*time.Second, func() string {
		if code, said := v.asks(nil, "--agent", "https://"+listen, "--ca-file", "server.crt", "--token-file", "token"); code != 0 {
			return said
		}
		return ""
	})
	return v, listen, config
}

// TestAgentOverTLS has the program ask one whose listener demands TLS, and a certificate
// or a password.
func TestAgentOverTLS(t *testing.T) {
	v, listen, config := tlsAgent(t)
	at := func(args ...string) []string { return append([]string{"--agent", "https://" + listen}, args...) }
	var (
		ca   = []string{"--ca-file", "server.crt"}
		cert = []string{"--cert-file", "server.crt", "--key-file", "server.key"}
		user = []string{"--user", "ann", "--password-file", "password"}
	)
	tests := []struct {
		name string
		env  []string
		args []string
		code int
		says string
	}{
		{"as configured", []string{"SLOTSYNC_CA_FILE=server.crt"}, []string{"--config", config}, 0, ""},
		{"a user", nil, at(append(ca, user...)...), 0, ""},
		{"a user, from the environment", []string{"SLOTSYNC_CA_FILE=server.crt", "SLOTSYNC_USER=ann", "SLOTSYNC_PASSWORD_FILE=password"}, at(), 0, ""},
		{"a user, over a token of the environment", []string{"SLOTSYNC_TOKEN_FILE=wrong"}, at(append(ca, user...)...), 0, ""},
		{"a user, not the configured token", nil, append(append(ca, user...), "--config", config), 0, ""},
		{"a certificate, and no password", nil, at(append(ca, cert...)...), 1, "--user and --password-file"},
		{"a certificate and a user", nil, at(append(append(ca, cert...), user...)...), 0, ""},
		{"a wrong password", nil, at(append(ca, "--user", "ann", "--password-file", "wrong")...), 1, "neither the token nor a user"},
		{"no trust", nil, at(user...), 1, "--ca-file"},
		{"no authority", nil, at("--ca-file", "password"), 2, "holds no certificate"},
		{"no file of authorities", nil, at("--ca-file", "none"), 2, "none: no such file"},
		{"a user alone", nil, at("--user", "ann"), 2, "belong together"},
		{"a password alone", nil, at("--password-file", "password"), 2, "belong together"},
		{"no password file", nil, at("--user", "ann", "--password-file", "none"), 2, "none: no such file"},
		{"a password of two lines", nil, at("--user", "ann", "--password-file", "lines"), 2, "lines does not hold a password"},
		{"a user with a colon", nil, at("--user", "ann:"+canaryPassword, "--password-file", "password"), 2, "the user has a colon"},
		{"a certificate alone", nil, at("--cert-file", "server.crt"), 2, "belong together"},
		{"a token and a user", nil, at(append(user, "--token-file", "token")...), 2, "name one of them"},
		{"trust in what is not asked", nil, append(ca, "--agent", "http://"+listen), 2, "is not"},
		{"plain", nil, []string{"--agent", "http://" + listen}, 1, "name it as https://"},
		{"trust of the environment in what is not asked", []string{"SLOTSYNC_CA_FILE=none"}, []string{"--agent", "http://" + listen}, 1, "name it as https://"},
	}
	for _, tt := range tests {
		code, said := v.asks(tt.env, tt.args...)
		if code != tt.code || !strings.Contains(said, tt.says) || tt.code != 0 && strings.Count(said, "\n") != 1 {
			t.Errorf("%s: exit %d, want %d and %q:\n%s", tt.name, code, tt.code, tt.says, said)
		}
	}
	for _, secret := range append(v.secrets, canaryToken, canaryPassword) {
		if strings.Contains(v.all(), secret) {
			t.Errorf("a secret is shown:\n%s", v.all())
		}
	}
}

// asks runs slotsync status in the folder, and returns what it says besides the status.
func (v *vault) asks(env []string, args ...string) (code int, said string) {
	v.t.Helper()
	var text strings.Builder
	cmd := exec.CommandContext(v.t.Context(), "slotsync", append([]string{"events"}, args...)...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = v.dir, append(os.Environ(), env...), v, &text
	_ = cmd.Run() // its code says it
	_, _ = v.Write([]byte(text.String()))
	return cmd.ProcessState.ExitCode(), text.String()
}
