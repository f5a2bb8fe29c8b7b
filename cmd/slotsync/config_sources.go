package main

import (
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/slotsync/slotsync/discovery/consul"
	"github.com/slotsync/slotsync/discovery/dns"
)

func (c *checker) sources(raw []rawSource) map[string]sourceConfig {
	all := map[string]sourceConfig{}
	first := map[string]int{}
	for i, r := range raw {
		path := fmt.Sprintf("sources[%d]", i)
		c.name(path+".name", r.Name)
		if j, ok := first[r.Name]; ok && r.Name != "" {
			c.add(path+".name", "sources[%d] has the name %q already", j, shown(r.Name))
			continue
		}
		first[r.Name] = i
		s := sourceConfig{name: r.Name, key: keyOf(r)}
		switch r.Type {
		case "consul":
			c.onlyFor(path, "dns", "servers", "tcp", "timeout", "min_refresh", "max_refresh")
			s.consul, s.tokenFile = c.consul(path, r), r.TokenFile
		case "dns":
			c.onlyFor(path, "consul", "address", "token_file", "datacenter", "consistency", "max_stale", "wait", "tls")
			s.dns = c.dns(path, r)
		case "file", "nomad":
			c.add(path+".type", "type %s is not supported by this version of slotsync", r.Type)
		case "":
			c.add(path+".type", "is missing: consul or dns")
		default:
			c.add(path+".type", "%q is none of consul, dns%s", shown(r.Type), didYouMean(r.Type, []string{"consul", "dns"}))
		}
		all[r.Name] = s
	}
	return all
}

// onlyFor refuses keys that mean nothing here.
func (c *checker) onlyFor(path, kind string, keys ...string) {
	for _, key := range keys {
		if c.given(path + "." + key) {
			c.add(path+"."+key, "is for sources of type %s", kind)
		}
	}
}

func (c *checker) consul(path string, r rawSource) *consul.Options {
	if r.Address != "" && !strings.HasPrefix(r.Address, "unix:///") {
		u, err := url.Parse(r.Address)
		switch {
		case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
			c.add(path+".address", "%q is not http://host:port, https://host:port or unix:///path", shown(r.Address))
		case u.User != nil || u.RawQuery != "" || u.Fragment != "":
			c.add(path+".address", "has more than scheme, host and port: tokens belong into token_file")
		}
	}
	c.file(path+".token_file", r.TokenFile)
	c.file(path+".tls.ca_file", r.TLS.CAFile)
	c.file(path+".tls.cert_file", r.TLS.CertFile)
	c.file(path+".tls.key_file", r.TLS.KeyFile)
	if (r.TLS.CertFile == "") != (r.TLS.KeyFile == "") {
		c.add(path+".tls", "cert_file and key_file belong together")
	}
	if r.Datacenter != "" {
		c.name(path+".datacenter", r.Datacenter)
	}
	return &consul.Options{
		Address:     r.Address,
		Datacenter:  r.Datacenter,
		Consistency: c.oneOf(path+".consistency", r.Consistency, "stale", "default", "cached"),
		MaxStale:    c.duration(path+".max_stale", r.MaxStale, 10*time.Second, 100*time.Millisecond, time.Hour),
		Wait:        c.duration(path+".wait", r.Wait, time.Minute, time.Second, 10*time.Minute),
		TLS: consul.TLS{CAFile: r.TLS.CAFile, CertFile: r.TLS.CertFile, KeyFile: r.TLS.KeyFile,
			ServerName: r.TLS.ServerName, InsecureSkipVerify: r.TLS.InsecureSkipVerify},
	}
}

// file checks the path of a file that is read later.
func (c *checker) file(path, file string) {
	if file != "" && !filepath.IsAbs(file) {
		c.add(path, "%q is not an absolute path", shown(file))
	}
}

func (c *checker) dns(path string, r rawSource) *dns.Options {
	for i, server := range r.Servers {
		if _, err := netip.ParseAddrPort(server); err != nil {
			c.add(fmt.Sprintf("%s.servers[%d]", path, i), "%q is not ip:port, as in 127.0.0.1:53", shown(server))
		}
	}
	o := &dns.Options{
		Servers:    r.Servers,
		TCP:        c.oneOf(path+".tcp", r.TCP, "auto", "always", "never"),
		Timeout:    c.duration(path+".timeout", r.Timeout, 2*time.Second, 10*time.Millisecond, 8*time.Second),
		MinRefresh: c.duration(path+".min_refresh", r.MinRefresh, 5*time.Second, 10*time.Millisecond, time.Hour),
		MaxRefresh: c.duration(path+".max_refresh", r.MaxRefresh, 30*time.Second, 10*time.Millisecond, 24*time.Hour),
	}
	if o.MinRefresh > o.MaxRefresh {
		c.add(path+".min_refresh", "%s is more than max_refresh, %s", short(o.MinRefresh), short(o.MaxRefresh))
	}
	return o
}
