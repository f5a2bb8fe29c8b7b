package dns

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	wire "github.com/miekg/dns"

	"github.com/slotsync/slotsync/discovery"
)

const (
	resolvConf     = "/etc/resolv.conf"
	resolvEvery    = 5 * time.Second // between two looks at the file
	maxResolvConf  = 64 << 10        // bytes that are read of it
	maxNameservers = 3               // as glibc has it
	maxSearch      = 32
)

// Settings are how servers are asked, of the options or of a resolv.conf.
type settings struct {
	servers             []string
	search              []string // canonical
	ndots               int
	timeout             time.Duration // of one try
	rounds              int
	rotate, tcp, noAAAA bool
}

// parseResolvConf reads a resolv.conf(5). What it does not understand it passes
// over, as resolvers do. edns0 and trust-ad change nothing: EDNS is always
// tried, and AD is not looked at. LOCALDOMAIN and RES_OPTIONS are not obeyed:
// they are how one process differs from the file, and this one has [Options].
func parseResolvConf(text string) settings {
	s := settings{ndots: 1}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(f[1]); err == nil && len(s.servers) < maxNameservers {
				s.servers = append(s.servers, net.JoinHostPort(a.String(), "53"))
			}
		case "domain":
			s.search = suffixes(f[1:2])
		case "search":
			s.search = suffixes(f[1:])
		case "options":
			for _, o := range f[1:] {
				s.option(o)
			}
		}
	}
	s.servers = unique(s.servers)
	return s
}

func suffixes(names []string) []string {
	var out []string
	for _, n := range names {
		if a, err := absolute(n); err == nil && len(out) < maxSearch {
			out = append(out, a)
		} else if n == "." {
			out = append(out, n)
		}
	}
	return out
}

// option obeys one of the options, within the bounds of glibc.
func (s *settings) option(o string) {
	name, value, _ := strings.Cut(o, ":")
	n, err := strconv.Atoi(value)
	switch name {
	case "rotate":
		s.rotate = true
	case "use-vc":
		s.tcp = true
	case "no-aaaa":
		s.noAAAA = true
	}
	if err != nil {
		return
	}
	switch name {
	case "ndots":
		s.ndots = min(max(n, 0), 15)
	case "timeout":
		s.timeout = time.Duration(min(max(n, 1), 30)) * time.Second
	case "attempts":
		s.rounds = min(max(n, 1), 5)
	}
}

// A resolvFile is a resolv.conf that is read again when it changes.
type resolvFile struct {
	path string

	mu      sync.Mutex // guards following
	looked  time.Time
	info    fs.FileInfo // of what was read last; nil: nothing
	current settings
	kept    string // why the file as it is now is not obeyed, or ""
}

// openResolvConf reads the file for the first time. One that names no server
// stands for the local machine's (resolv.conf(5)).
func openResolvConf(path string) (*resolvFile, error) {
	info, s, err := readResolvConf(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("dns: resolv.conf: %w", err)
	}
	if len(s.servers) == 0 {
		s.servers = []string{"127.0.0.1:53", "[::1]:53"}
	}
	return &resolvFile{path: path, looked: time.Now(), info: info, current: s}, nil
}

// look returns what the file says, or said while it still named servers.
func (f *resolvFile) look() settings {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < resolvEvery {
		return f.current
	}
	f.looked = time.Now()
	if info, err := os.Stat(f.path); err == nil && unchanged(f.info, info) {
		return f.current
	}
	info, s, err := readResolvConf(f.path)
	f.info = info
	switch {
	case err != nil:
		f.kept = fmt.Sprintf("%s is kept as it was: %s", f.path, discovery.Printable(err.Error(), 200))
	case len(s.servers) == 0:
		f.kept = f.path + " is kept as it was: it names no server now"
	default:
		f.current, f.kept = s, ""
	}
	return f.current
}

// remark says whether something else is in force than the file says, or "".
func (f *resolvFile) remark() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.kept
}

// unchanged says whether a file is the one that was read.
func unchanged(read, now fs.FileInfo) bool {
	return read != nil && os.SameFile(read, now) && read.ModTime().Equal(now.ModTime()) && read.Size() == now.Size()
}

// readResolvConf reads the file at path. The info is from before the reading, so
// that what changes meanwhile is seen the next time; without an error it is not nil.
func readResolvConf(path string) (fs.FileInfo, settings, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, settings{ndots: 1}, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, settings{ndots: 1}, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxResolvConf))
	return info, parseResolvConf(string(text)), err
}

// candidates lists the absolute names that name may stand for, in the order in
// which they are asked for (resolv.conf(5), search and ndots).
func (s settings) candidates(name string) []string {
	var names []string
	for _, suffix := range s.search {
		n := name + strings.TrimPrefix(suffix, ".")
		if _, ok := wire.IsDomainName(n); ok && len(n) <= maxName {
			names = append(names, n)
		}
	}
	if strings.Count(name, ".")-1 >= s.ndots {
		names = append([]string{name}, names...)
	} else {
		names = append(names, name)
	}
	return unique(names)
}
