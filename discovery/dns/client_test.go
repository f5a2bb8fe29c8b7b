package dns

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOptions(t *testing.T) {
	cases := []struct {
		name    string
		options Options
		want    string // in the error; empty: none
	}{
		{"defaults", Options{Servers: []string{one}}, ""},
		{"IPv6", Options{Servers: []string{"[::1]:53"}}, ""},
		{"no port", Options{Servers: []string{"192.0.2.1"}}, `dns server "192.0.2.1": want ip:port`},
		{"port 0", Options{Servers: []string{"192.0.2.1:0"}}, "want ip:port"},
		{"host name", Options{Servers: []string{"ns.test:53"}}, "want ip:port"},
		{"tcp", Options{Servers: []string{one}, TCP: "yes"}, `dns tcp "yes": want auto, always or never`},
		{"negative", Options{Servers: []string{one}, Timeout: -1}, "must not be negative"},
		{"bounds", Options{Servers: []string{one}, MinRefresh: 2, MaxRefresh: 1}, "max_refresh 1ns is less than min_refresh 2ns"},
		{"large minimum alone", Options{Servers: []string{one}, MinRefresh: time.Minute}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewClient(c.options)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestOneServerTwiceIsOne(t *testing.T) {
	c, err := NewClient(Options{Servers: []string{one, two, one}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.options.Servers, []string{one, two}) {
		t.Errorf("servers %v", c.options.Servers)
	}
}

func TestQueries(t *testing.T) {
	long := strings.Repeat("a.", 127)
	cases := []struct {
		query       Query
		title, want string // want is in the error
	}{
		{Query{Record: "Web.Test", Port: 80}, "dns A+AAAA web.test", ""},
		{Query{Record: "web.test.", Type: TypeA, Port: 80}, "dns A web.test", ""},
		{Query{Record: "_web._tcp.test"}, "dns SRV _web._tcp.test", ""},
		{Query{Record: "_web._tcp.test", Type: TypeBoth, Port: 1}, "dns A+AAAA _web._tcp.test", ""},
		{Query{Record: "web.service.consul", Type: TypeSRV}, "dns SRV web.service.consul", ""},
		{Query{Record: "web.test"}, "", "a port is needed"},
		{Query{Record: "_web._tcp.test", Port: 80}, "", "only for them"},
		{Query{Record: "web.test", Type: "MX", Port: 80}, "", `dns type "MX": want SRV, A, AAAA or A+AAAA`},
		{Query{Record: "", Port: 80}, "", "no domain name"},
		{Query{Record: ".", Port: 80}, "", "no domain name"},
		{Query{Record: "a..b", Port: 80}, "", "no domain name"},
		{Query{Record: long + "test", Port: 80}, "", "no domain name"},
		{Query{Record: strings.Repeat("a", 64) + ".test", Port: 80}, "", "no domain name"},
		{Query{Record: "10.0.0.1", Port: 80}, "", "an address, not a name"},
		{Query{Record: "::1", Port: 80}, "", "an address, not a name"},
		{Query{Record: "a b.test", Port: 80}, "", "cannot be part of a name"},
		{Query{Record: "wéb.test", Port: 80}, "", "xn--"},
		{Query{Record: `a\000.test`, Port: 80}, "", "cannot be part of a name"},
	}
	c, err := NewClient(Options{Servers: []string{one}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range cases {
		t.Run(tc.query.Record+" "+tc.query.Type, func(t *testing.T) {
			s, err := c.Source(tc.query)
			switch {
			case err == nil && (tc.want != "" || s.String() != tc.title):
				t.Errorf("got %q, want %q, error %q", s, tc.title, tc.want)
			case err != nil && (tc.want == "" || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
