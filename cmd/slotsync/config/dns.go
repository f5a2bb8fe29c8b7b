package config

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/dns"
)

func (c *checker) dns(path string, r *rawSource, s *Source) {
	for i, server := range r.Servers {
		if a, err := netip.ParseAddrPort(server); err != nil || a.Port() == 0 {
			c.add(fmt.Sprintf("%s.servers[%d]", path, i), "%q is not ip:port, as in 127.0.0.1:53", textfmt.Clip(server))
		}
	}
	o := dns.Options{
		Servers:      r.Servers,
		TCP:          c.oneOf(path+".tcp", r.TCP, "auto", "always", "never"),
		MinRefresh:   c.duration(path+".min_refresh", r.MinRefresh, 5*time.Second, 10*time.Millisecond, time.Hour),
		MaxRefresh:   c.duration(path+".max_refresh", r.MaxRefresh, 30*time.Second, 10*time.Millisecond, 24*time.Hour),
		Search:       c.flag(path+".search", r.Search),
		Answers:      c.oneOf(path+".answers", r.Answers, "auto", "full", "partial"),
		HoldObsolete: c.duration(path+".hold_obsolete", r.HoldObsolete, time.Minute, time.Second, time.Hour),
	}
	if len(r.Servers) > 0 || r.Timeout != "" { // else resolv.conf may say it
		o.Timeout = c.duration(path+".timeout", r.Timeout, 2*time.Second, 10*time.Millisecond, 8*time.Second)
	}
	if o.MinRefresh > o.MaxRefresh {
		c.add(path+".min_refresh", "%s is more than max_refresh, %s", textfmt.Duration(o.MinRefresh), textfmt.Duration(o.MaxRefresh))
	}
	if probe := o; len(o.Servers) > 0 { // else NewClient reads a file
		probe.Search = false
		c.trySource(path, func() error {
			_, err := dns.NewClient(probe)
			return err
		})
	}
	s.DNS = &o
	s.identity = keyOf("dns", o.Servers, o.Search)
	s.Key = keyOf(s.identity, o.TCP, o.Timeout, o.MinRefresh, o.MaxRefresh, o.Answers, o.HoldObsolete)
}

// dnsKeys are those that ask DNS for records.
func dnsKeys() []string { return []string{"record", "type", "port"} }

// dnsFeed checks which records are asked for.
func (c *checker) dnsFeed(path string, r rawFeed, family string, f *Feed) {
	kinds := []string{"A+AAAA", "A", "AAAA", "SRV"}
	if strings.HasPrefix(r.Record, "_") {
		kinds = []string{"SRV", "A", "AAAA", "A+AAAA"}
	}
	q := dns.Query{Record: r.Record, Type: c.oneOf(path+".type", r.Type, kinds...), Family: family}
	switch {
	case r.Record == "":
		c.add(path+".record", "is missing")
	case !isDomain(r.Record):
		c.add(path+".record", "%q is not a name in DNS", textfmt.Clip(r.Record))
	}
	switch {
	case q.Type == "SRV" && c.given(path+".port"):
		c.add(path+".port", "does not go with SRV records, which have their own ports")
	case q.Type == "SRV":
	case !c.given(path + ".port"):
		c.add(path+".port", "is missing: address records have none")
	default:
		q.Port = uint16(c.port(path+".port", r.Port))
	}
	if (q.Type == "A" && family == discovery.OnlyV6) || (q.Type == "AAAA" && family == discovery.OnlyV4) {
		c.add(path+".type", "%s records are not of family %s", q.Type, family)
	}
	c.trySource(path, func() error {
		client, err := dns.NewClient(dns.Options{Servers: []string{"127.0.0.1:53"}})
		if err == nil {
			_, err = client.Source(q)
		}
		return err
	})
	f.DNS = q
	f.Identity = keyOf(q.Record, q.Type, q.Port)
	f.Key = keyOf(q.Family)
}
