package config

import "github.com/slotsync/slotsync/discovery/nomad"

// nomadEnvironment fills what r does not say from the variables that Nomad's tools
// know, and with which it starts its tasks.
func (b envFallback) nomadEnvironment() (token string) {
	b.text("NOMAD_ADDR", "address")
	b.text("NOMAD_NAMESPACE", "namespace")
	b.text("NOMAD_REGION", "region")
	b.tls("NOMAD_", "NOMAD_SKIP_VERIFY", false)
	return b.secret("NOMAD_TOKEN", "token", "token_file")
}

func (c *checker) nomad(path string, r *sourceKeys, s *Source) {
	s.Token = envFallback{c, r, path}.nomadEnvironment()
	c.complete(path, r, "nomad")
	o := nomad.Options{Address: r.Address, Namespace: r.Namespace, Region: r.Region, Wait: r.Wait, PollInterval: r.PollInterval, TLS: c.tls(path+".tls", r.TLS)}
	s.Nomad, s.TokenFile = &o, r.TokenFile
	s.identity = keyOf("nomad", o.Address, o.Namespace, o.Region)
	s.Key = keyOf(s.identity, o.Wait, o.PollInterval, o.TLS, r.TokenFile)
}

func (c *checker) nomadFeed(path string, r *feedKeys, f *Feed) {
	q := nomad.Query{Service: r.Service, Tags: r.Tags, Filter: r.Filter}
	client, err := nomad.NewClient(nomad.Options{})
	trySource(c, path, client, err, q)
	f.Nomad = q
	f.Identity = keyOf(q.Service, sorted(q.Tags), q.Filter)
}
