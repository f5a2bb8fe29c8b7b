package config

import (
	"strings"

	"github.com/slotsync/slotsync/discovery/file"
)

func (c *checker) files(path string, r *rawSource, s *Source) {
	s.File = &file.Options{Path: r.Path}
	s.identity = keyOf("file", r.Path)
	s.Key = s.identity
	if r.Path == "" {
		c.add(path+".path", "is missing: the files, as in /etc/slotsync/endpoints/*.yaml")
		return
	}
	if _, err := file.New(*s.File); err != nil {
		c.add(path+".path", "%s", strings.TrimPrefix(err.Error(), "path "))
	}
}

// fileKeys are those that ask files for a service.
func fileKeys() []string { return []string{"service"} }

// fileFeed checks what is looked for in files.
func (c *checker) fileFeed(path string, r rawFeed, f *Feed) {
	f.File = file.Query{Service: r.Service}
	if r.Service != "" {
		c.name(path+".service", r.Service)
	}
	f.Identity = keyOf(r.Service)
}
