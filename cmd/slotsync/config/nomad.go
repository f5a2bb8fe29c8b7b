package config

import (
	"time"

	"github.com/slotsync/slotsync/discovery/nomad"
)

// A Nomad is a Nomad agent and how it is asked.
type Nomad struct {
	Options   nomad.Options // without token
	TokenFile string
	Token     string // of the environment
}

const nomadDefault = "http://127.0.0.1:4646"

// nomadEnvironment fills what r does not say from the variables that Nomad's tools
// know, and with which it starts its tasks.
func (b envFallback) nomadEnvironment(r *rawSource) (token string) {
	b.text("NOMAD_ADDR", "address", &r.Address)
	b.text("NOMAD_NAMESPACE", "namespace", &r.Namespace)
	b.text("NOMAD_REGION", "region", &r.Region)
	b.tls(&r.TLS, "NOMAD_", "NOMAD_SKIP_VERIFY", false)
	return b.secret("NOMAD_TOKEN", "token", "token_file")
}

func (c *checker) nomad(path string, r *rawSource, s *Source) {
	token := envFallback{c, c.env, path}.nomadEnvironment(r)
	c.orDefault(path+".address", &r.Address, nomadDefault)
	c.orDefault(path+".namespace", &r.Namespace, "default")
	c.url(path+".address", r.Address)
	c.file(path+".token_file", r.TokenFile)
	c.name(path+".namespace", r.Namespace)
	if r.Region != "" {
		c.name(path+".region", r.Region)
	}
	o := nomad.Options{
		Address:   r.Address,
		Namespace: r.Namespace,
		Region:    r.Region,
		Wait:      c.duration(path+".wait", r.Wait, time.Minute, time.Second, 10*time.Minute),
		TLS:       c.tls(path+".tls", r.TLS),

		PollInterval: c.duration(path+".poll_interval", r.PollInterval, 10*time.Second, time.Second, 10*time.Minute),
	}
	s.Nomad = &Nomad{Options: o, TokenFile: r.TokenFile, Token: token}
	s.identity = keyOf("nomad", o.Address, o.Namespace, o.Region)
	s.Key = keyOf(s.identity, o.Wait, o.PollInterval, o.TLS, r.TokenFile)
}

// nomadKeys are those that ask Nomad for a service.
func nomadKeys() []string { return []string{"service", "tags", "filter"} }

// nomadFeed checks what Nomad is asked for.
func (c *checker) nomadFeed(path string, r rawFeed, f *Feed) {
	c.name(path+".service", r.Service)
	c.tags(path+".tags", r.Tags)
	q := nomad.Query{Service: r.Service, Tags: r.Tags, Filter: r.Filter}
	c.trySource(path, func() error {
		client, err := nomad.NewClient(nomad.Options{})
		if err == nil {
			_, err = client.Source(q)
		}
		return err
	})
	f.Nomad = q
	f.Identity = keyOf(q.Service, sorted(q.Tags), q.Filter)
}
