package main

func (c *checker) files(path string, r *rawSource, s *sourceConfig) {
	s.file = &fileOptions{Path: r.Path}
	s.identity = keyOf("file", r.Path)
	s.key = s.identity
	if r.Path == "" {
		c.add(path+".path", "is missing: the files, as in /etc/slotsync/endpoints/*.yaml")
		return
	}
	c.file(path+".path", r.Path)
}

// fileKeys are those that ask files for a service.
func fileKeys() []string { return []string{"service"} }

// fileFeed checks what is looked for in files.
func (c *checker) fileFeed(path string, r rawFeed, f *feedConfig) {
	f.file = fileQuery{Service: r.Service}
	if r.Service != "" {
		c.name(path+".service", r.Service)
	}
	f.identity = keyOf(r.Service)
}

type fileOptions struct{ Path string }

type fileQuery struct{ Service string }
