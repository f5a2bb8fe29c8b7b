package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// programmed has HAProxy run slotsync, as docs/haproxy.md shows it.
const programmed = `global
  stats socket {socket} mode 600 level admin expose-fd listeners
  master-worker no-exit-on-failure
  %s
program slotsync
  command %s
defaults
  mode http
  timeout connect 1s
  timeout client 10s
  timeout server 10s
backend web
  server-template web 1-4 slot.invalid:1 init-addr last,127.0.0.1 disabled
`

// TestProgram: HAProxy runs slotsync as a program. With each reload another one starts,
// waits for the lock, and has it when HAProxy ends the one from before. A reload that
// fails leaves the one that works. When HAProxy dies, so does slotsync.
func TestProgram(t *testing.T) {
	for _, version := range haproxytest.Versions {
		if version == "3.4" {
			continue // it has no programs
		}
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("", "ss")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			config, pids, run := filepath.Join(dir, "slotsync.yaml"), filepath.Join(dir, "pids"), filepath.Join(dir, "run")
			// the socket is known once HAProxy runs, so a script waits for the configuration
			script := fmt.Sprintf("#!/bin/sh\necho $$ >>%s\nwhile ! [ -e %s ]; do sleep 0.05; done\nexec slotsync run --config %[2]s\n", pids, config)
			if err := os.WriteFile(run, []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
			expose := ""
			if version == "3.2" {
				expose = "expose-deprecated-directives"
			}
			p := haproxytest.Start(t, haproxytest.Config{Version: version, Master: true, Text: fmt.Sprintf(programmed, expose, run)})
			text := fmt.Sprintf("haproxy:\n  instances: [{name: edge, socket: %s}]\nstate_dir: %s/state\nhttp: {listen: \"\", socket: %[2]s/api}\n"+
				"backends:\n  - {name: web, slots: web, endpoints: [\"127.9.0.1:80\", \"127.9.0.2:80\"]}\n", p.Socket, dir)
			if err := os.WriteFile(config+".new", []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(config+".new", config); err != nil {
				t.Fatal(err)
			}
			filled := func() string {
				shown := haproxytest.Ask(t, p.Socket, "show servers state web")
				if !strings.Contains(shown, "web1 127.9.0.1 2 4 ") || !strings.Contains(shown, "web2 127.9.0.2 2 4 ") {
					return shown
				}
				return ""
			}
			programs := func(want int) (list []int) {
				t.Helper()
				eventually(t, 20*time.Second, func() string {
					if list = alive(t, pids); len(list) != want {
						return fmt.Sprintf("%d programs: %v", len(list), list)
					}
					return ""
				})
				return list
			}
			eventually(t, 20*time.Second, filled)
			first := programs(1)
			p.Reload()
			eventually(t, 20*time.Second, filled)
			second := programs(1)
			if second[0] == first[0] {
				t.Errorf("program %d has survived the reload", first[0])
			}
			good := p.Config.Text
			p.Rewrite("bogus\n")
			if err := syscall.Kill(p.Pid(), syscall.SIGUSR2); err != nil {
				t.Fatal(err)
			}
			eventually(t, 20*time.Second, func() string {
				if said := masterSays(p); !strings.Contains(said, "[failed: 1]") {
					return "the reload has not failed yet: " + said
				}
				return ""
			})
			if left := programs(1); left[0] != second[0] {
				t.Errorf("program %d has become %d with a reload that failed", second[0], left[0])
			}
			p.Config.Text = good
			p.Reload()
			eventually(t, 20*time.Second, filled)
			programs(1)
			if err := syscall.Kill(p.Pid(), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			programs(0)
		})
	}
}

// masterSays asks the master for its processes; it takes no connection in the middle of
// a reload.
func masterSays(p *haproxytest.Process) string {
	conn, err := net.Dial("unix", p.Master)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	io.WriteString(conn, "show proc;quit\n")
	said, _ := io.ReadAll(conn)
	return string(said)
}

// alive lists the processes of a file that run.
func alive(t *testing.T, file string) []int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list []int
	for _, word := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !strings.Contains(string(comm), ") Z ") {
			list = append(list, pid)
		}
	}
	return list
}
