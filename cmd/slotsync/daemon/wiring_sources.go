package daemon

import (
	"context"
	"errors"
	"strings"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/consul"
	"github.com/slotsync/slotsync/discovery/dns"
	"github.com/slotsync/slotsync/discovery/file"
	"github.com/slotsync/slotsync/discovery/longpoll"
	"github.com/slotsync/slotsync/discovery/nomad"
)

// A system is the client of one source. It is shared by all that ask it, and lives
// as long as a configuration names it, so that a changed backend does not open
// another set of connections beside those that go on.
type system struct {
	ask   func(f config.Feed) (discovery.Source, error)
	token *longpoll.TokenFile // nil: none
	close func()
	// services lists the names that can be asked for; nil where nobody knows them all.
	services func(ctx context.Context) ([]string, error)
	// diagnose looks at the system itself, of which so many services are watched;
	// nil where the sources do that.
	diagnose func(ctx context.Context, watches int) []discovery.Finding
}

// systems are open, by the key of their source.
type systems map[string]*system

// closeBut closes all that are not among others.
func (all systems) closeBut(others systems) {
	for key, s := range all {
		if others[key] == nil {
			s.close()
		}
	}
}

// Diagnose looks at the system of a source as a whole, of which so many services are watched.
func (all systems) Diagnose(ctx context.Context, s config.Source, watches int) []discovery.Finding {
	if diagnose := all[s.Key].diagnose; diagnose != nil {
		return diagnose(ctx, watches)
	}
	return nil
}

// Services lists the names that the system of a source knows. It fails where a system cannot
// list them, as DNS cannot.
func (all systems) Services(ctx context.Context, s config.Source) ([]string, error) {
	if all[s.Key].services == nil {
		return nil, errors.New("this source cannot list its services")
	}
	return all[s.Key].services(ctx)
}

// reread looks at the files of all tokens now.
func (all systems) reread() {
	for _, s := range all {
		if s.token != nil {
			s.token.Reread()
		}
	}
}

// addSources opens the systems of the sources, and asks them for what the
// backends want.
func (w *Wiring) addSources(cfg *config.Config, open systems) error {
	for name, s := range cfg.Sources {
		if w.Systems[s.Key] == nil {
			w.Systems[s.Key] = open[s.Key]
		}
		if w.Systems[s.Key] != nil {
			continue
		}
		opened, err := openSource(s)
		if err != nil {
			delete(w.Systems, s.Key)
			return config.Usagef("source %s: %w", name, err)
		}
		w.Systems[s.Key] = opened
	}
	for _, b := range cfg.Backends {
		var list []discovery.Source
		for _, f := range b.Feeds {
			source, err := w.Systems.Source(cfg, f)
			if err != nil {
				return config.Usagef("backend %s: %w", b.Name, err)
			}
			list = append(list, source)
		}
		w.Sources = append(w.Sources, list)
	}
	return nil
}

// Source returns what a feed asks, not yet asked.
func (all systems) Source(cfg *config.Config, f config.Feed) (discovery.Source, error) {
	if f.Source == "" {
		return discovery.Static(f.Endpoints), nil
	}
	return all[cfg.Sources[f.Source].Key].ask(f)
}

// openSource makes the client. The files of certificates and tokens are read.
func openSource(s config.Source) (*system, error) {
	switch {
	case s.Consul != nil:
		return openConsul(s)
	case s.DNS != nil:
		return openDNS(*s.DNS)
	case s.File != nil:
		return openFiles(*s.File)
	}
	return openNomad(s)
}

func openConsul(s config.Source) (*system, error) {
	o := *s.Consul
	token, err := credentials(s.TokenFile, s.Token, &o.Token, &o.Denied)
	if err != nil {
		return nil, err
	}
	if s.Auth != "" {
		user, password, _ := strings.Cut(s.Auth, ":")
		o.Auth = func() (string, string) { return user, password }
	}
	client, err := consul.NewClient(o)
	if err != nil {
		return nil, err
	}
	ask := func(f config.Feed) (discovery.Source, error) { return client.Source(f.Consul) }
	return &system{ask: ask, token: token, close: client.Close, services: client.Services, diagnose: client.Diagnose}, nil
}

func openNomad(s config.Source) (*system, error) {
	o := *s.Nomad
	token, err := credentials(s.TokenFile, s.Token, &o.Token, &o.Denied)
	if err != nil {
		return nil, err
	}
	client, err := nomad.NewClient(o)
	if err != nil {
		return nil, err
	}
	ask := func(f config.Feed) (discovery.Source, error) { return client.Source(f.Nomad) }
	return &system{ask: ask, token: token, close: client.Close, diagnose: client.Diagnose}, nil
}

// credentials sets what gives the token: of a file, or the one that the
// environment has.
func credentials(path, text string, token *func() string, denied *func()) (*longpoll.TokenFile, error) {
	if path == "" {
		if text != "" {
			*token = func() string { return text }
		}
		return nil, nil
	}
	file, err := longpoll.NewTokenFile(path)
	if err != nil {
		return nil, err
	}
	*token, *denied = file.Token, file.Reread
	return file, nil
}

func openDNS(o dns.Options) (*system, error) {
	client, err := dns.NewClient(o)
	if err != nil {
		return nil, err
	}
	ask := func(f config.Feed) (discovery.Source, error) { return client.Source(f.DNS) }
	return &system{ask: ask, close: func() { _ = client.Close() }}, nil // it has no errors
}

func openFiles(o file.Options) (*system, error) {
	files, err := file.New(o)
	if err != nil {
		return nil, err
	}
	ask := func(f config.Feed) (discovery.Source, error) { return files.Source(f.File) }
	return &system{ask: ask, close: func() {}}, nil
}
