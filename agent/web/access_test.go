package web_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/agent/client/clienttest"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

// TestClientWithAConfig has a client ask listeners that exporter-toolkit checks, for
// what only those get who may do everything.
func TestClientWithAConfig(t *testing.T) {
	a, other := newAuthority(t, "ca"), newAuthority(t, "other")
	for _, by := range []*authority{a, other} {
		by.client(by, "client") // makes its files
	}
	file := func(by *authority, name string) string { return filepath.Join(by.dir, name) }
	trusts := longpoll.TLS{CAFile: file(a, "ca.crt")}
	shows := longpoll.TLS{CAFile: file(a, "ca.crt"), CertFile: file(a, "client.crt"), KeyFile: file(a, "client.key")}
	foreign := longpoll.TLS{CAFile: file(a, "ca.crt"), CertFile: file(other, "client.crt"), KeyFile: file(other, "client.key")}
	plain, both := a.serverTLS(""), a.serverTLS(", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt")
	given := a.serverTLS(", client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.crt")
	tests := []struct {
		name, file string
		by         client.Access
		want       string // in the error; "" for none
	}{
		{"a token", plain, client.Access{TLS: trusts, Token: token("token")}, ""},
		{"nothing but trust", plain, client.Access{TLS: trusts}, "not for everybody"},
		{"no trust", plain, client.Access{Token: token("token")}, "--ca-file"},
		{"trust in another", plain, client.Access{TLS: longpoll.TLS{CAFile: file(other, "other.crt")}}, "--ca-file"},
		{"a certificate", both, client.Access{TLS: shows}, ""},
		{"a certificate, if given", given, client.Access{TLS: shows}, ""},
		{"no certificate", both, client.Access{TLS: trusts}, "--cert-file and --key-file"},
		{"a certificate of another", both, client.Access{TLS: foreign}, "--cert-file and --key-file"},
		{"a user", plain + users, client.Access{TLS: trusts, User: "ann", Password: "secret"}, ""},
		{"a user without TLS", users, client.Access{User: "ann", Password: "secret"}, ""},
		{"a wrong password", plain + users, client.Access{TLS: trusts, User: "ann", Password: "canary"}, "--user and --password-file"},
		{"nobody", users, client.Access{}, "not for everybody"},
		{"a token before a user", users, client.Access{Token: token("token"), User: "ann", Password: "canary"}, ""},
		{"a certificate and a user", both + users, client.Access{TLS: shows, User: "ann", Password: "secret"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options(newFake())
			o.Listen, o.Token, o.Config = "127.0.0.1:0", token("token"), a.write("web.yml", tt.file)
			addr := "http://" + serve(t, o).Addr()
			if strings.Contains(tt.file, "tls_server_config") {
				addr = strings.Replace(addr, "http:", "https:", 1)
			}
			c, err := client.New(addr, tt.by)
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.HAProxyVersions(t.Context(), "")
			if tt.want != "" {
				clienttest.CheckError(t, err, tt.want)
				if strings.Contains(err.Error(), "canary") {
					t.Errorf("the password is in the error: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for range c.Events(t.Context(), 1) { // they come the same way
				break
			}
		})
	}
}

func TestClientSpeaksPlainlyToTLS(t *testing.T) {
	a := newAuthority(t, "ca")
	o := options(newFake())
	o.Listen, o.Config = "127.0.0.1:0", a.write("web.yml", a.serverTLS(""))
	_, err := clienttest.New(t, "http://"+serve(t, o).Addr(), nil).Status(t.Context())
	clienttest.CheckError(t, err, "name it as https://")
}

func TestClientWithoutItsFiles(t *testing.T) {
	dir := t.TempDir()
	for _, by := range []longpoll.TLS{{CAFile: dir + "/none"}, {CertFile: dir + "/none", KeyFile: dir + "/none"}} {
		if _, err := client.New("https://127.0.0.1:1", client.Access{TLS: by}); err == nil || !strings.Contains(err.Error(), "/none") {
			t.Errorf("%+v: %v", by, err)
		}
		for _, addr := range []string{"http://127.0.0.1:1", "unix:///none"} { // nothing of it is used there
			if _, err := client.New(addr, client.Access{TLS: by}); err != nil {
				t.Errorf("%s: %v", addr, err)
			}
		}
	}
}

// TestClientSaysWhatIsNotThere: it is the server that is missing, not a path of the API.
func TestClientSaysWhatIsNotThere(t *testing.T) {
	o := options(newFake())
	o.Listen = "127.0.0.1:0"
	c, ctx := clienttest.New(t, "http://"+serve(t, o).Addr(), nil), t.Context()
	errs := map[string]error{}
	_, errs["no such backend"] = c.SetState(ctx, "api", "web1", api.StateBody{State: api.StateDrain})
	_, errs["no such server"] = c.SetWeight(ctx, "web", "web9", api.WeightBody{Weight: "5"})
	_, errs["no such instance"] = c.Dump(ctx, "edge-9", "info")
	for want, err := range errs {
		clienttest.CheckError(t, err, want)
		if strings.Contains(err.Error(), "older version") {
			t.Errorf("%v", err)
		}
	}
}
