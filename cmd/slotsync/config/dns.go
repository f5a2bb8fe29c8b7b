package config

import (
	"strings"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/dns"
)

func (c *checker) dns(path string, r *sourceKeys, s *Source) {
	c.complete(path, r, "dns")
	if len(r.Servers) == 0 && c.assumed[path+".timeout"] { // resolv.conf may say it
		delete(c.assumed, path+".timeout")
		r.Timeout = 0
	}
	o := dns.Options{Servers: r.Servers, TCP: r.TCP, Timeout: r.Timeout, MinRefresh: r.MinRefresh, MaxRefresh: r.MaxRefresh,
		Search: r.Search, Answers: r.Answers, HoldObsolete: r.HoldObsolete}
	if o.MinRefresh > o.MaxRefresh {
		c.add(path+".min_refresh", "%s is more than max_refresh, %s", textfmt.Duration(o.MinRefresh), textfmt.Duration(o.MaxRefresh))
	}
	if probe := o; len(o.Servers) > 0 && !c.faulty(path) { // else NewClient reads a file
		probe.Search = false
		_, err := dns.NewClient(probe)
		c.addError(path, err)
	}
	s.DNS = &o
	s.identity = keyOf("dns", o.Servers, o.Search)
	s.Key = keyOf(s.identity, o.TCP, o.Timeout, o.MinRefresh, o.MaxRefresh, o.Answers, o.HoldObsolete)
}

func (c *checker) dnsFeed(path string, r *feedKeys, family string, f *Feed) {
	if r.Type == "" {
		r.Type, c.assumed[path+".type"] = "A+AAAA", true
		if strings.HasPrefix(r.Record, "_") {
			r.Type = "SRV"
		}
	}
	q := dns.Query{Record: r.Record, Type: r.Type, Family: family, Port: uint16(r.Port)}
	switch given := c.given(path + ".port"); {
	case q.Type == "SRV" && given:
		c.add(path+".port", "does not go with SRV records, which have their own ports")
	case q.Type != "SRV" && !given:
		c.add(path+".port", "is missing: address records have none")
	}
	if (q.Type == "A" && family == discovery.OnlyV6) || (q.Type == "AAAA" && family == discovery.OnlyV4) {
		c.add(path+".type", "%s records are not of family %s", q.Type, family)
	}
	client, err := dns.NewClient(dns.Options{Servers: []string{"127.0.0.1:53"}})
	trySource(c, path, client, err, q)
	f.DNS = q
	f.Identity = keyOf(q.Record, q.Type, q.Port)
	f.Key = keyOf(q.Family)
}
