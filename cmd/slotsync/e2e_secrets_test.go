package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The secrets that nothing may show. The hash is the password's.
const (
	canaryToken    = "canary-token-8f2c"
	canaryConsul   = "canary-consul-41aa"
	canaryPassword = "canary-password-5e1d"
	canaryHash     = "$2a$04$eXFFmuGbR5N1Lu7ZnozcJeEZnnA6wiMnqBpNM79mQ1hFxPmdh2qb."
)

// A vault is a place with a program that knows secrets, and all that it ever said.
type vault struct {
	t       *testing.T
	dir     string
	secrets []string

	mu   sync.Mutex
	said bytes.Buffer
}

// Write takes what the program says.
func (v *vault) Write(text []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.said.Write(text)
}

func (v *vault) all() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.said.String()
}

func (v *vault) file(name, text string) string {
	v.t.Helper()
	path := filepath.Join(v.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		v.t.Fatal(err)
	}
	return path
}

// certificate makes server.crt and server.key; the key is a secret.
func (v *vault) certificate() {
	v.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		v.t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		v.t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		v.t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw}))
	v.file("server.key", text)
	v.file("server.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	v.secrets = append(v.secrets, strings.Split(text, "\n")[2])
}

// slotsync is the program with the secrets in its environment.
func (v *vault) slotsync(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(v.t.Context(), "slotsync", args...)
	cmd.Env = append(os.Environ(), "CONSUL_HTTP_TOKEN="+canaryConsul, "CONSUL_HTTP_AUTH=ann:"+canaryPassword)
	cmd.Stdout, cmd.Stderr = v, v
	return cmd
}

// ask sends a request and notes the whole answer.
func (v *vault) ask(c *http.Client, url, header string) int {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	if name, value, ok := strings.Cut(header, ": "); ok {
		req.Header.Set(name, value)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_ = resp.Header.Write(v)
	_, _ = io.Copy(v, io.LimitReader(resp.Body, 1<<20)) // events end with the deadline, if not before
	return resp.StatusCode
}

// TestSecretsAreNeverShown runs the program with secrets of every kind, has it say
// all that it can, also about faults, and looks for them in all of it.
func TestSecretsAreNeverShown(t *testing.T) {
	dir, err := os.MkdirTemp("", "ss")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	v := &vault{t: t, dir: dir, secrets: []string{canaryToken, canaryConsul, canaryPassword, canaryHash}}
	v.certificate()
	v.file("api.token", canaryToken+"\n")
	good := "tls_server_config: {cert_file: server.crt, key_file: server.key}\nbasic_auth_users: {ann: '" + canaryHash + "'}\n"
	v.file("web.yml", good)
	consul := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "ACL not found", http.StatusForbidden)
	}))
	defer consul.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listen := l.Addr().String()
	_ = l.Close()
	config := v.file("slotsync.yaml", fmt.Sprintf(`
haproxy: {instances: [{name: edge, socket: %[1]s/none.sock}]}
sources: [{name: consul, type: consul, address: "%[2]s"}]
backends: [{name: web, slots: web, source: consul, service: web}]
http: {listen: "%[3]s", socket: %[1]s/api.sock, token_file: %[1]s/api.token, web_config_file: %[1]s/web.yml}
log: {level: debug}
state_dir: %[1]s/state
`, dir, consul.URL, listen))

	program := v.slotsync("run", "--config", config)
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	base := "https://" + listen
	eventually(t, 10*time.Second, func() string {
		if code := v.ask(client, base+"/v1/status", "Authorization: Bearer "+canaryToken); code != 200 {
			return fmt.Sprint("the status: ", code)
		}
		return ""
	})
	v.provoke(client, base, config)
	for _, broken := range []string{"basic_auth_users: " + canaryPassword + "\n", "basic_auth_users: {ann: " + canaryPassword + "}\n", "*" + canaryPassword + "\n"} {
		v.file("web.yml", broken)
		v.ask(client, base+"/v1/status", "Authorization: Bearer "+canaryToken)
		_ = v.slotsync("check", "--config", config).Run()
		_ = v.slotsync("reload", "--config", config).Run()
	}
	if err := program.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := program.Wait(); err != nil {
		t.Errorf("the program: %v", err)
	}
	v.search()
}

// provoke has the program say all that it can. What comes of it does not matter.
func (v *vault) provoke(client *http.Client, base, config string) {
	for _, args := range [][]string{
		{"status"}, {"status", "-o", "json"}, {"health", "--strict"}, {"explain", "web"}, {"explain", "web", "10.0.0.1:80"}, {"doctor"}, {"config"}, {"config", "--origins"},
		{"config", "-o", "json", "--origins"}, {"check"}, {"plan"}, {"sync"}, {"reload"}, {"haproxy", "info"}, {"status", "--agent", base},
	} {
		_ = v.slotsync(append(args, "--config", config)...).Run()
	}
	v.unpack(config)
	for _, header := range []string{"", "Authorization: Bearer " + canaryToken, "Authorization: Bearer x" + canaryToken, "Authorization: Basic YW5uOmNhbmFyeS1wYXNzd29yZC01ZTFk", "Authorization: Basic YW5uOng="} {
		for _, path := range []string{"/", "/v1/status", "/v1/backends/web/explain", "/metrics", "/v1/haproxy/config", "/nothing", "/v1/openapi.json", "/debug/pprof/cmdline", "/-/ready"} {
			v.ask(client, base+path, header)
		}
	}
	v.ask(client, base+"/v1/events?last_event_id=0", "Authorization: Bearer "+canaryToken)
	v.ask(client, strings.Replace(base, "https", "http", 1)+"/v1/status", "Authorization: Bearer "+canaryToken)
}

// unpack has a bundle made, and reads it.
func (v *vault) unpack(config string) {
	v.t.Helper()
	path := filepath.Join(v.dir, "bundle.tar.gz")
	if err := v.slotsync("support-bundle", "--config", config, "--out", path).Run(); err != nil {
		v.t.Errorf("support-bundle: %v", err)
		return
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		v.t.Errorf("the bundle: %v, %v", info, err)
	}
	f, err := os.Open(path)
	if err != nil {
		v.t.Fatal(err)
	}
	defer f.Close()
	packed, err := gzip.NewReader(f)
	if err != nil {
		v.t.Fatal(err)
	}
	archive := tar.NewReader(packed)
	names := map[string]bool{}
	for {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			v.t.Fatal(err)
		}
		names[filepath.Base(header.Name)] = true
		if _, err := io.Copy(v, archive); err != nil {
			v.t.Fatal(err)
		}
	}
	for _, name := range []string{"status.json", "metrics.txt", "doctor.txt", "environment.txt", "system.txt", "files.txt"} {
		if !names[name] {
			v.t.Errorf("the bundle lacks %s: %v", name, names)
		}
	}
}

// search looks for the secrets in all that was said and in all that was written but
// for the files that they were given in.
func (v *vault) search() {
	said := map[string]string{"what it said": v.all()}
	err := filepath.WalkDir(filepath.Join(v.dir, "state"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		said[path] = string(text)
		return err
	})
	if err != nil {
		v.t.Error(err)
	}
	for where, text := range said {
		for _, secret := range v.secrets {
			if at := strings.Index(text, secret); at >= 0 {
				v.t.Errorf("%s shows a secret: %q", where, text[max(0, at-200):at+len(secret)])
			}
		}
	}
	for _, part := range []string{"slotsync_build_info", `"schema":1`, "event: source_failing", "level=INFO", "token_file", "this is neither the token"} {
		if !strings.Contains(said["what it said"], part) {
			v.t.Errorf("this was to be heard, and was not: %s", part)
		}
	}
	if len(said) < 2 {
		v.t.Error("nothing was stored")
	}
}
