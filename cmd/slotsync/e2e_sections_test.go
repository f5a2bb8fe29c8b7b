package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent"
	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
	"github.com/slotsync/slotsync/slots/reload"
)

// TestSections adds, edits and deletes a group (a listen section), a frontend and
// a backend of two real HAProxys, one with a template and one whose file is edited
// itself: each serves what was asked for, what HAProxy refuses changes nothing, and
// a version puts back what was.
func TestSections(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version string) {
		r := newRig(t, nil)
		fleet := newFleet(t, time.Minute, 2)
		backend := backendOf(fleet.source)
		backend.Prefix = "web"
		r.opts.Backends = []agent.Backend{backend}
		edges := []*managedEdge{newManagedEdge(t, version, "rendered"), newManagedEdge(t, version, "plain")}
		for _, e := range edges {
			o := e.options(t)
			if e.name == "plain" {
				o.Template = ""
			}
			tx, err := reload.New(o)
			if err != nil {
				t.Fatal(err)
			}
			r.opts.Instances = append(r.opts.Instances, e.instance(t))
			r.opts.Reloads = append(r.opts.Reloads, agent.Reload{Name: e.name, Key: e.name, Instances: []string{e.name}, Transaction: tx})
		}
		r.start()
		eventually(t, 20*time.Second, func() string { return r.inStep(2) })
		for _, e := range edges {
			s := sectionEditor{t, r.agent, e, 0}
			s.group()
			s.split()
			s.refused()
		}
		eventually(t, 20*time.Second, func() string { return r.inStep(2) })
	})
}

// A sectionEditor edits the sections of one HAProxy.
type sectionEditor struct {
	t     *testing.T
	agent *agent.Agent
	edge  *managedEdge
	port  int
}

// set puts a section in place; "" removes it.
func (s *sectionEditor) set(typ, name, body string) error {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	e := api.SectionEdit{Reload: s.edge.name, Type: typ, Name: name, By: "test"}
	if body != "" {
		e.Body = []byte(body)
	}
	_, err := s.agent.EditHAProxySection(ctx, e)
	return err
}

func (s *sectionEditor) must(typ, name, body string) {
	s.t.Helper()
	if err := s.set(typ, name, body); err != nil {
		s.t.Fatalf("%s: %s %s: %v", s.edge.name, typ, name, err)
	}
}

// answers says what keeps the port from answering with that; "" as an answer: nobody
// listens.
func (s *sectionEditor) answers(port int, want string) {
	s.t.Helper()
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	eventually(s.t, 10*time.Second, func() string {
		resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
		if err != nil {
			if want == "" {
				return ""
			}
			return err.Error()
		}
		defer resp.Body.Close()
		if body, _ := io.ReadAll(resp.Body); want == "" || !strings.Contains(string(body), want) {
			return fmt.Sprintf("%s answers %q, want %q", s.edge.name, body, want)
		}
		return ""
	})
}

// group adds a group, edits it by what is shown of it, and deletes it.
func (s *sectionEditor) group() {
	s.t.Helper()
	port := haproxytest.FreePort(s.t)
	body := fmt.Sprintf("listen own\n  mode http\n  bind 127.0.0.1:%d\n  http-request return status 200 content-type text/plain string first\n", port)
	s.must("listen", "own", body)
	s.answers(port, "first")
	text, etag, err := s.agent.HAProxySection(s.t.Context(), s.edge.name, "listen", "own")
	if err != nil || string(text) != body || etag == "" {
		s.t.Fatalf("got %q, %q, %v", text, etag, err)
	}
	s.must("listen", "own", strings.Replace(string(text), "first", "second", 1))
	s.answers(port, "second")
	s.must("listen", "own", "")
	s.answers(port, "")
}

// split adds a backend and a frontend that leads to it, and restores what was before.
func (s *sectionEditor) split() {
	s.t.Helper()
	port := haproxytest.FreePort(s.t)
	before, _, err := s.agent.HAProxyConfig(s.t.Context(), s.edge.name, "")
	if err != nil {
		s.t.Fatal(err)
	}
	s.must("backend", "extra", "backend extra\n  mode http\n  http-request return status 200 content-type text/plain string extra\n")
	s.must("frontend", "extra-in", fmt.Sprintf("frontend extra-in\n  mode http\n  bind 127.0.0.1:%d\n  default_backend extra\n", port))
	s.answers(port, "extra")
	s.must("frontend", "extra-in", "")
	s.must("backend", "extra", "")
	s.answers(port, "")
	if after, err := os.ReadFile(s.edge.File()); err != nil || strings.TrimSpace(string(after)) != strings.TrimSpace(string(before)) {
		s.t.Errorf("%s: the file was\n%s\nand is\n%s", s.edge.name, before, after)
	}
	kept, err := s.agent.HAProxyVersions(s.t.Context(), s.edge.name)
	if err != nil || len(kept) < 3 {
		s.t.Fatalf("%d versions are kept: %v", len(kept), err)
	}
	if _, err := s.agent.RestoreHAProxy(s.t.Context(), s.edge.name, kept[1].ID, "test", ""); err != nil {
		s.t.Fatal(err)
	}
	if s.edge.name == "rendered" { // the template never lost what it has not
		_, err = s.agent.ReloadHAProxy(s.t.Context(), api.ReloadRequest{Name: s.edge.name, By: "test"})
	} else {
		err = s.set("backend", "extra", "")
	}
	if err != nil || s.file() != string(before) {
		s.t.Errorf("%s: %v, and the file is\n%s", s.edge.name, err, s.file())
	}
}

// refused edits what HAProxy cannot take.
func (s *sectionEditor) refused() {
	s.t.Helper()
	before, worker := s.file(), s.edge.Worker()
	if err := s.set("backend", "bad", "backend bad\n  no such word\n"); err == nil || !strings.Contains(err.Error(), "check") {
		s.t.Errorf("%s: got %v", s.edge.name, err)
	}
	if after := s.file(); after != before || s.edge.Worker() != worker {
		s.t.Errorf("%s: the file is\n%s\nworker %d, before it was %d", s.edge.name, after, s.edge.Worker(), worker)
	}
}

func (s *sectionEditor) file() string {
	s.t.Helper()
	text, err := os.ReadFile(s.edge.File())
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}
