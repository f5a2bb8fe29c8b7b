package config

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

// A Consul is a Consul agent and how it is asked.
type Consul struct {
	Options   consul.Options // without token and auth
	TokenFile string
	// Token and auth are of the environment.
	Token, Auth string
}

// consulEnvironment fills what r does not say from the variables that Consul's
// tools know. Theirs is the order in which a token is looked for.
func (b envFallback) consulEnvironment(r *rawSource) (token, auth string) {
	if b.applies("CONSUL_HTTP_ADDR", "address") {
		r.Address = b.env["CONSUL_HTTP_ADDR"]
		b.record("CONSUL_HTTP_ADDR", "address")
		if !strings.Contains(r.Address, "://") {
			r.Address = "http://" + r.Address
		}
	}
	b.consulSSL(r)
	b.text("CONSUL_NAMESPACE", "namespace", &r.Namespace)
	b.text("CONSUL_PARTITION", "partition", &r.Partition)
	b.tls(&r.TLS, "CONSUL_", "CONSUL_HTTP_SSL_VERIFY", true)
	if b.applies("CONSUL_HTTP_TOKEN_FILE", "token_file") {
		r.TokenFile = absolute(b.env["CONSUL_HTTP_TOKEN_FILE"])
		b.record("CONSUL_HTTP_TOKEN_FILE", "token_file")
	}
	return b.secret("CONSUL_HTTP_TOKEN", "token", "token_file"), b.secret("CONSUL_HTTP_AUTH", "auth")
}

// consulSSL makes the address one of https where CONSUL_HTTP_SSL says so and the
// configuration says nothing.
func (b envFallback) consulSSL(r *rawSource) {
	keys := []string{"address"}
	if b.places[b.path+".address"].name == "CONSUL_HTTP_ADDR" {
		keys = nil
	}
	if on, ok := b.boolean("CONSUL_HTTP_SSL", keys...); !ok || !on {
		return
	}
	if address := cmp.Or(r.Address, consulDefault); strings.HasPrefix(address, "http://") {
		r.Address = "https://" + strings.TrimPrefix(address, "http://")
		b.record("CONSUL_HTTP_SSL", "address")
	}
}

const consulDefault = "http://127.0.0.1:8500"

func (c *checker) consul(path string, r *rawSource, s *Source) {
	token, auth := envFallback{c, c.env, path}.consulEnvironment(r)
	c.orDefault(path+".address", &r.Address, consulDefault)
	c.url(path+".address", r.Address)
	c.file(path+".token_file", r.TokenFile)
	for key, name := range map[string]string{"datacenter": r.Datacenter, "namespace": r.Namespace, "partition": r.Partition} {
		if name != "" {
			c.name(path+"."+key, name)
		}
	}
	o := consul.Options{
		Address:     r.Address,
		Datacenter:  r.Datacenter,
		Namespace:   r.Namespace,
		Partition:   r.Partition,
		Consistency: c.oneOf(path+".consistency", r.Consistency, "stale", "default", "cached"),
		MaxStale:    c.duration(path+".max_stale", r.MaxStale, 10*time.Second, 100*time.Millisecond, time.Hour),
		Wait:        c.duration(path+".wait", r.Wait, time.Minute, time.Second, 10*time.Minute),
		TLS:         c.tls(path+".tls", r.TLS),

		PollInterval: c.duration(path+".poll_interval", r.PollInterval, 10*time.Second, time.Second, 10*time.Minute),
	}
	s.Consul = &Consul{Options: o, TokenFile: r.TokenFile, Token: token, Auth: auth}
	s.identity = keyOf("consul", o.Address, o.Datacenter, o.Namespace, o.Partition)
	s.Key = keyOf(s.identity, o.Consistency, o.MaxStale, o.Wait, o.PollInterval, o.TLS, r.TokenFile)
}

// url checks the address of an HTTP API.
func (c *checker) url(path, address string) {
	if strings.HasPrefix(address, "unix:///") {
		return
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		c.add(path, "%q is not http://host:port, https://host:port or unix:///path", withoutUser(address))
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		c.add(path, "has more than scheme, host and port: tokens belong into token_file")
	}
}

// orDefault fills a key that nobody gave.
func (c *checker) orDefault(path string, value *string, fallback string) {
	if *value == "" {
		c.assume(path, fallback)
		*value = fallback
	}
}

// tls checks how a system is spoken to over TLS.
func (c *checker) tls(path string, r rawTLS) longpoll.TLS {
	c.file(path+".ca_file", r.CAFile)
	c.file(path+".ca_path", r.CAPath)
	c.file(path+".cert_file", r.CertFile)
	c.file(path+".key_file", r.KeyFile)
	if (r.CertFile == "") != (r.KeyFile == "") {
		given := path + ".cert_file"
		if r.CertFile == "" {
			given = path + ".key_file"
		}
		c.add(given, "cert_file and key_file belong together")
	}
	return longpoll.TLS{CAFile: r.CAFile, CAPath: r.CAPath, CertFile: r.CertFile, KeyFile: r.KeyFile,
		ServerName: r.ServerName, InsecureSkipVerify: c.flag(path+".insecure_skip_verify", r.InsecureSkipVerify)}
}

// consulKeys are those that ask Consul for a service.
func consulKeys() []string {
	return []string{"service", "tags", "filter", "node_meta", "address_tag", "port_name", "default_port", "datacenter", "health", "ignore_node_health"}
}

// consulFeed checks what Consul is asked for.
func (c *checker) consulFeed(path string, r rawFeed, f *Feed) {
	c.name(path+".service", r.Service)
	c.tags(path+".tags", r.Tags)
	if r.Datacenter != "" {
		c.name(path+".datacenter", r.Datacenter)
	}
	for i, pair := range r.NodeMeta {
		if key, _, ok := strings.Cut(pair, ":"); !ok || key == "" {
			c.add(fmt.Sprintf("%s.node_meta[%d]", path, i), "%q is not key:value", textfmt.Clip(pair))
		}
	}
	q := consul.Query{
		Service: r.Service, Tags: r.Tags, Filter: r.Filter, NodeMeta: r.NodeMeta, Datacenter: r.Datacenter,
		AddressTag: r.AddressTag, PortName: r.PortName, DefaultPort: c.port(path+".default_port", r.DefaultPort),
		Health: c.oneOf(path+".health", r.Health, "warning", "passing", "any"), IgnoreNodeHealth: c.flag(path+".ignore_node_health", r.IgnoreNodeHealth),
	}
	c.trySource(path, func() error {
		client, err := consul.NewClient(consul.Options{})
		if err == nil {
			_, err = client.Source(q)
		}
		return err
	})
	f.Consul = q
	f.Identity = keyOf(q.Service, sorted(q.Tags), q.Filter, sorted(q.NodeMeta), q.Datacenter, q.AddressTag, q.PortName, q.DefaultPort)
	f.Key = keyOf(q.Health, q.IgnoreNodeHealth)
}

func (c *checker) tags(path string, tags []string) {
	for i, tag := range tags {
		if tag == "" || discovery.Printable(tag, 255) != tag {
			c.add(fmt.Sprintf("%s[%d]", path, i), "%q is not a tag", textfmt.Clip(tag))
		}
	}
}

// port returns n, if it was given and is a port.
func (c *checker) port(path string, n int) int {
	if c.given(path) && (n < 1 || n > 65535) {
		c.add(path, "%d is not within 1 and 65535", n)
	}
	return n
}

// trySource reports what the source itself has against what it is asked, unless
// something of path is known to be wrong.
func (c *checker) trySource(path string, ask func() error) {
	for _, f := range c.faults {
		if f.path == path || strings.HasPrefix(f.path, path+".") {
			return
		}
	}
	if err := ask(); err != nil {
		c.add(path, "%v", err)
	}
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }
