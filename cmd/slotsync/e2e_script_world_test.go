package main

// This file has the commands of scripts that start and change what slotsync speaks to: HAProxys, a
// server behind them, Consul, DNS.

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery/consul/consultest"
	"github.com/slotsync/slotsync/discovery/dns/dnstest"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// haproxy NAME VERSION [LEVEL] starts one with a backend web of ten slots, instead of
// a level with twice, tcp, both, few, checked or master, or several of those joined by +: see
// staged. It sets $NAME, $NAME_file and $NAME_pid. haproxy NAME kill ends it.
func (s *stage) haproxy(_ bool, args []string) {
	s.usage(len(args) == 2 || len(args) == 3, "haproxy NAME VERSION [LEVEL] | haproxy NAME kill|restart|reload")
	name := args[0]
	switch args[1] {
	case "kill":
		s.proxies[name].Kill()
		return
	case "restart":
		s.proxies[name].Restart()
		return
	case "reload":
		s.proxies[name].Reload()
		return
	}
	c := haproxytest.Config{Version: args[1], StateFile: true, Backends: []haproxytest.Backend{{Name: "web"}}}
	if len(args) == 3 {
		for how := range strings.SplitSeq(args[2], "+") {
			s.staged(&c, name, how)
		}
	}
	p := haproxytest.Start(s.tb, c)
	s.proxies[name] = p
	s.ts.Setenv(name, p.Socket)
	s.ts.Setenv(name+"_state", p.StateDir())
	s.ts.Setenv(name+"_master", p.Master)
	s.ts.Setenv(name+"_file", p.File())
	s.ts.Setenv(name+"_pid", strconv.Itoa(p.Pid()))
	s.ts.Setenv(name+"_binary", haproxytest.Binary(s.tb, args[1]))
}

// staged makes one thing about a HAProxy otherwise: twice gives it the socket
// $SS/second.sock too, tcp one at the address $NAME_tcp, both a backend api besides web, renamed slots srv1 to srv10,
// few two slots only, open leads from the port $NAME_port to the servers, fixed a backend be_legacy whose servers are written by hand, checked health checks; with master it runs as master and worker, with the socket
// $NAME_master. All else is the level of its socket.
func (s *stage) staged(c *haproxytest.Config, name, how string) {
	switch how {
	case "twice":
		c.Extra = "global\n  stats socket " + s.ts.Getenv("SS") + "/second.sock level admin\n"
	case "tcp":
		address := "127.0.0.1:" + strconv.Itoa(haproxytest.FreePort(s.tb))
		c.Extra = "global\n  stats socket ipv4@" + address + " level admin\n"
		s.ts.Setenv(name+"_tcp", address)
	case "both":
		c.Backends = append(c.Backends, haproxytest.Backend{Name: "api", Prefix: "web"})
	case "renamed":
		c.Backends[0].Prefix = "srv"
	case "few":
		c.Backends[0].Slots = 2
	case "fixed":
		c.Extra = "backend be_legacy\n  server old1 127.9.0.1:80 check\n  server old2 127.9.0.2:80 check\n"
	case "checked":
		c.Backends[0].Check = "check inter 200ms fall 1"
	case "open":
		c.Backends[0].Frontend = haproxytest.FreePort(s.tb)
		c.Backends[0].Options = []string{"timeout server 10m"} // a session lasts as long as its script
		s.ts.Setenv(name+"_port", strconv.Itoa(c.Backends[0].Frontend))
	case "master":
		c.Master = true
	default:
		c.Level = how
	}
}

// linger NAME keeps the worker of a HAProxy alive beyond reloads, until the end of
// the script.
func (s *stage) linger(_ bool, args []string) {
	s.usage(len(args) == 1, "linger NAME")
	s.proxies[args[0]].Linger()
}

// origin NAME starts a server at the port $NAME of 127.0.0.1 that answers "at last" after
// origin NAME release.
func (s *stage) origin(_ bool, args []string) {
	s.usage(len(args) > 0, "origin NAME [release]")
	if len(args) == 2 {
		close(s.origins[args[0]])
		return
	}
	released := make(chan struct{})
	s.origins[args[0]] = released
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-released:
			fmt.Fprintln(w, "at last")
		case <-r.Context().Done():
		}
	}))
	s.ts.Defer(func() {
		server.CloseClientConnections() // a script that fails releases nobody
		server.Close()
	})
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	s.ts.Check(err)
	s.ts.Setenv(args[0], port)
}

// versions VAR sets VAR1, VAR2 and so on to the versions that the command
// before has listed.
func (s *stage) versions(_ bool, args []string) {
	s.usage(len(args) == 1, "versions VAR")
	for i, id := range regexp.MustCompile(`(?m)^[0-9]{8}T\S+`).FindAllString(s.ts.ReadFile("stdout"), -1) {
		s.ts.Setenv(args[0]+strconv.Itoa(i+1), id)
	}
}

// freeze NAME stops a HAProxy from answering, until the end of the script.
func (s *stage) freeze(_ bool, args []string) {
	s.usage(len(args) == 1, "freeze NAME")
	s.ts.Defer(s.proxies[args[0]].Stop())
}

// tell NAME COMMAND has a HAProxy do something behind the agent's back.
func (s *stage) tell(_ bool, args []string) {
	s.usage(len(args) == 2, "tell NAME COMMAND")
	haproxytest.Ask(s.tb, s.proxies[args[0]].Socket, args[1])
}

// servers NAME REGEXP waits until the servers of web match, each as
// "web1 10.0.0.1:80 admin-state".
func (s *stage) servers(neg bool, args []string) {
	s.usage(len(args) == 2, "servers NAME REGEXP")
	want := regexp.MustCompile("(?m)" + args[1])
	var seen string
	s.wait(func() bool {
		seen = ""
		for line := range strings.Lines(haproxytest.Ask(s.tb, s.proxies[args[0]].Socket, "show servers state web")) {
			if f := strings.Fields(line); len(f) > 18 && f[0] != "#" {
				seen += fmt.Sprintf("%s %s:%s %s\n", f[3], f[4], f[18], f[6])
			}
		}
		return want.MatchString(seen) != neg
	}, func() string { return fmt.Sprintf("servers of %s do not match %s:\n%s", args[0], args[1], seen) })
}

// consul start [acl] | register ID ADDR PORT [SERVICE] | deregister ID | token FILE RULES.
func (s *stage) consul(_ bool, args []string) {
	s.usage(len(args) > 0, "consul start [acl] | register ID ADDR PORT [SERVICE] | deregister ID | token FILE RULES")
	switch args[0] {
	case "start":
		if s.catalog = nil; len(args) == 2 {
			s.catalog = consultest.StartACL(s.tb)
		} else {
			s.catalog = consultest.Start(s.tb)
		}
		s.ts.Setenv("CONSUL", s.catalog.URL())
	case "register":
		port, err := strconv.Atoi(args[3])
		s.ts.Check(err)
		service := "web"
		if len(args) > 4 {
			service = args[4]
		}
		s.catalog.Register(service, args[1], args[2], port)
	case "deregister":
		s.catalog.Deregister(args[1])
	case "token":
		token := s.catalog.NewToken(args[2])
		s.ts.Setenv("TOKEN", token)
		s.ts.Check(os.WriteFile(s.ts.MkAbs(args[1]), []byte(token+"\n"), 0o600))
	default:
		s.ts.Fatalf("consul: what is %s?", args[0])
	}
}

// dns start | a NAME ADDR...
func (s *stage) dns(_ bool, args []string) {
	s.usage(len(args) > 0, "dns start | a NAME ADDR...")
	if args[0] == "start" {
		s.names = dnstest.NewServer(s.tb)
		s.ts.Setenv("DNS", s.names.Addr())
		return
	}
	var addrs []netip.Addr
	for _, text := range args[2:] {
		addr, err := netip.ParseAddr(text)
		s.ts.Check(err)
		addrs = append(addrs, addr)
	}
	s.names.SetA(args[1], time.Second, addrs...)
}
