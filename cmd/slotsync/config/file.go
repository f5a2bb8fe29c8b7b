package config

import (
	"strings"

	"github.com/slotsync/slotsync/discovery/file"
)

func (c *checker) files(path string, r *sourceKeys, s *Source) {
	c.complete(path, r, "file")
	s.File = &file.Options{Path: r.Path}
	s.identity = keyOf("file", r.Path)
	s.Key = s.identity
	if _, err := file.New(*s.File); err != nil && r.Path != "" {
		c.add(path+".path", "%s", strings.TrimPrefix(err.Error(), "path "))
	}
}
