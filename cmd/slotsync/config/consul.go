package config

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/discovery/consul"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

// consulEnvironment fills what r does not say from the variables that Consul's
// tools know. Theirs is the order in which a token is looked for.
func (b envFallback) consulEnvironment() (token, auth string) {
	if address := b.env["CONSUL_HTTP_ADDR"]; b.applies("CONSUL_HTTP_ADDR", "address") {
		if !strings.Contains(address, "://") {
			address = "http://" + address
		}
		b.set("CONSUL_HTTP_ADDR", "address", address)
	}
	b.consulSSL()
	b.text("CONSUL_NAMESPACE", "namespace")
	b.text("CONSUL_PARTITION", "partition")
	b.tls("CONSUL_", "CONSUL_HTTP_SSL_VERIFY", true)
	b.files([]string{"CONSUL_HTTP_TOKEN_FILE"}, []string{"token_file"})
	return b.secret("CONSUL_HTTP_TOKEN", "token", "token_file"), b.secret("CONSUL_HTTP_AUTH", "auth")
}

// consulSSL makes the address one of https where CONSUL_HTTP_SSL says so and the
// configuration says nothing.
func (b envFallback) consulSSL() {
	keys := []string{"address"}
	if b.places[b.path+".address"].name == "CONSUL_HTTP_ADDR" {
		keys = nil
	}
	if on, ok := b.boolean("CONSUL_HTTP_SSL", keys...); !ok || !on {
		return
	}
	f, _ := fieldOf(reflect.TypeFor[sourceKeys](), "address")
	if host, ok := strings.CutPrefix(cmp.Or(b.source.Address, fallback(f, "consul")), "http://"); ok {
		b.set("CONSUL_HTTP_SSL", "address", "https://"+host)
	}
}

func (c *checker) consul(path string, r *sourceKeys, s *Source) {
	s.Token, s.Auth = envFallback{c, r, path}.consulEnvironment()
	c.complete(path, r, "consul")
	o := consul.Options{Address: r.Address, Datacenter: r.Datacenter, Namespace: r.Namespace, Partition: r.Partition,
		Consistency: r.Consistency, MaxStale: r.MaxStale, Wait: r.Wait, PollInterval: r.PollInterval, TLS: c.tls(path+".tls", r.TLS)}
	s.Consul, s.TokenFile = &o, r.TokenFile
	s.identity = keyOf("consul", o.Address, o.Datacenter, o.Namespace, o.Partition)
	s.Key = keyOf(s.identity, o.Consistency, o.MaxStale, o.Wait, o.PollInterval, o.TLS, r.TokenFile)
}

func (c *checker) tls(path string, r tlsKeys) longpoll.TLS {
	if (r.CertFile == "") != (r.KeyFile == "") {
		given := path + ".cert_file"
		if r.CertFile == "" {
			given = path + ".key_file"
		}
		c.add(given, "cert_file and key_file belong together")
	}
	return longpoll.TLS(r)
}

func (c *checker) consulFeed(path string, r *feedKeys, f *Feed) {
	q := consul.Query{Service: r.Service, Tags: r.Tags, Filter: r.Filter, NodeMeta: r.NodeMeta, Datacenter: r.Datacenter,
		AddressTag: r.AddressTag, PortName: r.PortName, DefaultPort: r.DefaultPort, Health: r.Health, IgnoreNodeHealth: r.IgnoreNodeHealth}
	client, err := consul.NewClient(consul.Options{})
	trySource(c, path, client, err, q)
	f.Consul = q
	f.Identity = keyOf(q.Service, sorted(q.Tags), q.Filter, sorted(q.NodeMeta), q.Datacenter, q.AddressTag, q.PortName, q.DefaultPort)
	f.Key = keyOf(q.Health, q.IgnoreNodeHealth)
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }
