package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// A script is what one would write with curl, jq and nc, without the time that
// those need to start: it asks Consul, and writes what changed to both sockets.
type script struct {
	url     string
	http    *http.Client
	backend string
	sockets [2]string
	safe    bool
	slots   map[string]string // by address and port
	free    []string
}

func (s *script) run(ctx context.Context) error {
	index := "1"
	for {
		listed, next, err := s.ask(ctx, index)
		if err != nil {
			return err
		}
		index = next
		if err := s.follow(listed); err != nil {
			return err
		}
	}
}

// ask is one blocking query.
func (s *script) ask(ctx context.Context, index string) (listed map[string]bool, next string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"&wait=60s&index="+index, nil)
	if err != nil {
		return nil, "", err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, "", err
	}
	var entries []struct {
		Service struct {
			Address string
			Port    int
		}
	}
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, "", err
	}
	listed = make(map[string]bool, len(entries))
	for _, e := range entries {
		listed[fmt.Sprintf("%s port %d", e.Service.Address, e.Service.Port)] = true
	}
	return listed, resp.Header.Get("X-Consul-Index"), nil
}

// follow makes what is listed so.
func (s *script) follow(listed map[string]bool) error {
	for addr := range listed {
		if s.slots[addr] != "" {
			continue
		}
		slot := s.free[0]
		s.free = s.free[1:]
		s.slots[addr] = slot
		if err := s.fill(s.backend+"/"+slot, slot, addr); err != nil {
			return err
		}
	}
	for addr, slot := range s.slots {
		if listed[addr] {
			continue
		}
		delete(s.slots, addr)
		s.free = append(s.free, slot)
		if _, err := tellBoth(s.sockets, "set server "+s.backend+"/"+slot+" state maint"); err != nil {
			return err
		}
	}
	return nil
}

func (s *script) fill(server, slot, addr string) error {
	address, ready := "set server "+server+" addr "+addr, "set server "+server+" state ready"
	if !s.safe {
		_, err := tellBoth(s.sockets, address+";"+ready)
		return err
	}
	if _, err := tellBoth(s.sockets, address); err != nil {
		return err
	}
	for proved := false; !proved; {
		shown, err := tellBoth(s.sockets, "show servers state "+s.backend)
		if err != nil {
			return err
		}
		proved = shows(shown[0], slot, addr) && shows(shown[1], slot, addr)
	}
	_, err := tellBoth(s.sockets, ready)
	return err
}

// shows reports whether the slot has that address, "ADDRESS port PORT".
func shows(state, slot, addr string) bool {
	_, line, ok := strings.Cut(state, " "+slot+" ")
	if !ok {
		return false
	}
	line, _, _ = strings.Cut(line, "\n")
	host, port, _ := strings.Cut(addr, " port ")
	fields := strings.Fields(line)
	// after srv_name; see the header of "show servers state"
	return len(fields) > 14 && fields[0] == host && fields[14] == port
}

// tellBoth sends one line to both sockets and then takes both answers: neither
// HAProxy waits for the other.
func tellBoth(sockets [2]string, line string) (answers [2]string, err error) {
	var conns [2]net.Conn
	for i, path := range sockets {
		if conns[i], err = send(path, line); err != nil {
			return answers, err
		}
		defer conns[i].Close()
	}
	for i, c := range conns {
		raw, err := io.ReadAll(c)
		if err != nil {
			return answers, err
		}
		answers[i] = string(raw)
	}
	return answers, nil
}

// tell sends one line and returns the answer.
func tell(socket, line string) (string, error) {
	c, err := send(socket, line)
	if err != nil {
		return "", err
	}
	defer c.Close()
	raw, err := io.ReadAll(c)
	return string(raw), err
}

func send(socket, line string) (net.Conn, error) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	err = c.SetDeadline(time.Now().Add(benchPatience))
	if err == nil {
		_, err = io.WriteString(c, line+"\n")
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
