package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// A nomadWorld is one machine with Consul and Nomad, both of which let nobody do anything
// without a token.
type nomadWorld struct {
	t       *testing.T
	dir     string
	consul  *consultest.Server
	kv      *consulapi.Client
	nomad   *nomadapi.Client
	env     []string // of the command line
	version int      // of the service that was deployed last
}

// nomadConfig is a client and server in one, whose exec tasks see HAProxy and slotsync.
const nomadConfig = `
data_dir  = "%[1]s/nomad"
log_level = "WARN"
disable_update_check = true
acl { enabled = true }
client {
  alloc_dir         = "%[1]s/a"
  network_interface = "lo"
  gc_interval       = "1s"
  meta { haproxy = "yes" }
  chroot_env {
    "%[2]s"     = "%[2]s"
    "%[1]s/sbin" = "/usr/sbin"
    "%[1]s/bin"  = "/usr/local/bin"
    "/etc/passwd" = "/etc/passwd"
  }
}
plugin "raw_exec" {
  config { enabled = true }
}
consul {
  address = "%[3]s"
  token   = "%[4]s"
  service_identity {
    aud = ["consul.io"]
    ttl = "1h"
  }
  task_identity {
    aud = ["consul.io"]
    ttl = "1h"
  }
}
`

// startNomad starts both and has Consul know the identities that Nomad gives.
func startNomad(t *testing.T) *nomadWorld {
	t.Helper()
	dir, err := os.MkdirTemp("", "ss") // short: it is in paths of sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := &nomadWorld{t: t, dir: dir, consul: consultest.StartACL(t)}
	binary, err := filepath.Abs(haproxytest.Binary(t, "3.0"))
	if err != nil {
		t.Fatal(err)
	}
	w.put("sbin/haproxy", binary)
	w.put("bin/slotsync", "")
	w.put("webserver", os.Args[0])
	config := filepath.Join(dir, "nomad.hcl")
	text := fmt.Sprintf(nomadConfig, dir, filepath.Dir(binary), w.consul.HTTPAddr(), w.consul.Token())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.agent(config)
	if w.kv, err = consulapi.NewClient(&consulapi.Config{Address: w.consul.HTTPAddr(), Token: w.consul.Token()}); err != nil {
		t.Fatal(err)
	}
	w.trustNomad()
	return w
}

// put links name in the world's folder to a program, or copies the slotsync that was built.
func (w *nomadWorld) put(name, program string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil && program != "" {
		err = os.Symlink(program, path)
	} else if err == nil {
		var text []byte
		if text, err = os.ReadFile("../../bin/slotsync"); err == nil {
			err = os.WriteFile(path, text, 0o755)
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// agent starts Nomad, waits for its client, and becomes its manager.
func (w *nomadWorld) agent(config string) {
	w.t.Helper()
	program := filepath.Join(haproxytest.Deps(w.t), "nomad", "nomad")
	log, err := os.Create(filepath.Join(w.dir, "nomad.log"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program, "agent", "-dev", "-config", config)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "AWS_CA_BUNDLE=") // of which it asks a cloud for where it runs
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		w.t.Fatalf("%v: run tools/build-nomad.sh", err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if text, err := os.ReadFile(log.Name()); err == nil && w.t.Failed() {
			w.t.Logf("nomad: %s", text[max(0, len(text)-8000):])
		}
	})
	var token *nomadapi.ACLToken
	eventually(w.t, time.Minute, func() string {
		if w.nomad, err = nomadapi.NewClient(&nomadapi.Config{Address: "http://127.0.0.1:4646"}); err == nil {
			token, _, err = w.nomad.ACLTokens().Bootstrap(nil)
		}
		return wordsOf(err)
	})
	w.nomad.SetSecretID(token.SecretID)
	w.env = append(os.Environ(), "NOMAD_ADDR=http://127.0.0.1:4646", "NOMAD_TOKEN="+token.SecretID)
	eventually(w.t, time.Minute, func() string {
		nodes, _, err := w.nomad.Nodes().List(nil)
		if err == nil && (len(nodes) != 1 || nodes[0].Status != "ready") {
			return fmt.Sprintf("its client is not ready: %+v", nodes)
		}
		return wordsOf(err)
	})
}

func wordsOf(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

// trustNomad does what `nomad setup consul` does: tasks and services of Nomad get tokens.
func (w *nomadWorld) trustNomad() {
	w.t.Helper()
	acl := w.kv.ACL()
	_, _, err := acl.PolicyCreate(&consulapi.ACLPolicy{Name: "nomad-tasks", Rules: `service_prefix "" { policy = "read" }
node_prefix "" { policy = "read" }
key_prefix "edge/" { policy = "read" }`}, nil)
	if err == nil {
		_, _, err = acl.RoleCreate(&consulapi.ACLRole{Name: "nomad-tasks", Policies: []*consulapi.ACLRolePolicyLink{{Name: "nomad-tasks"}}}, nil)
	}
	if err == nil {
		_, _, err = acl.AuthMethodCreate(&consulapi.ACLAuthMethod{Name: "nomad-workloads", Type: "jwt", Config: map[string]any{
			"JWKSURL": "http://127.0.0.1:4646/.well-known/jwks.json", "JWTSupportedAlgs": []string{"RS256"}, "BoundAudiences": []string{"consul.io"},
			"ClaimMappings": map[string]string{"nomad_namespace": "nomad_namespace", "nomad_job_id": "nomad_job_id", "nomad_task": "nomad_task", "nomad_service": "nomad_service"},
		}}, nil)
	}
	for _, rule := range []consulapi.ACLBindingRule{
		{BindType: "service", BindName: "${value.nomad_service}", Selector: `"nomad_service" in value`},
		{BindType: "role", BindName: "nomad-tasks", Selector: `"nomad_service" not in value`},
	} {
		if err == nil {
			rule.AuthMethod = "nomad-workloads"
			_, _, err = acl.BindingRuleCreate(&rule, nil)
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
}
