package dnstest

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// A kind says how one make of server is run.
type kind struct {
	name    string
	path    string // below the folder of dependencies
	reloads bool   // SIGHUP is enough to change the zone
	files   func(setup) map[string]string
	args    func(dir string) []string
}

// A setup is what a server's files are rendered from.
type setup struct {
	dir     string
	port    int
	version int
	zone    Zone
}

func bind() kind {
	return kind{
		name: "named", path: "bind9/named", reloads: true,
		files: func(s setup) map[string]string {
			return map[string]string{"zone": s.zone.master(s.version), "named.conf": namedConf(s)}
		},
		args: func(dir string) []string { return []string{"-g", "-n", "1", "-c", filepath.Join(dir, "named.conf")} },
	}
}

func namedConf(s setup) string {
	return fmt.Sprintf(`options {
	directory %q;
	listen-on port %d { 127.0.0.1; };
	listen-on-v6 { none; };
	pid-file none;
	lock-file none;
	session-keyfile %[3]q;
	recursion no;
	dnssec-validation no;
	empty-zones-enable no;
	notify no;
	minimal-responses no;
	max-records-per-type 0;
};
controls { };
zone %[4]q { type primary; file "zone"; };
`, s.dir, s.port, filepath.Join(s.dir, "session.key"), undot(s.zone.Name))
}

// unbound serves the zone, or forwards every question to the server at addr. It
// gives up on a dead one within a second, where it would be silent for more than
// 15 otherwise; its SERVFAIL then lives for 5.
func unbound(addr string) kind {
	k := kind{
		name: "unbound", path: "unbound/unbound", reloads: true,
		files: func(s setup) map[string]string {
			zone := fmt.Sprintf("auth-zone:\n name: %q\n zonefile: %q\n for-upstream: no\n",
				dot(s.zone.Name), filepath.Join(s.dir, "zone"))
			return map[string]string{"zone": s.zone.master(s.version), "unbound.conf": unboundConf(s, zone)}
		},
		args: func(dir string) []string { return []string{"-d", "-c", filepath.Join(dir, "unbound.conf")} },
	}
	if addr != "" {
		k.files = func(s setup) map[string]string {
			forward := fmt.Sprintf("forward-zone:\n name: \".\"\n forward-addr: %s\n", strings.Replace(addr, ":", "@", 1))
			// Its own data tells that it answers, whatever the other does.
			own := fmt.Sprintf("server:\n local-data: '%s 0 IN TXT \"%d\"'\n", dot(s.zone.versionName()), s.version)
			return map[string]string{"unbound.conf": unboundConf(s, forward+own)}
		}
	}
	return k
}

func unboundConf(s setup, zones string) string {
	return fmt.Sprintf(`server:
 interface: 127.0.0.1
 port: %d
 directory: %q
 username: ""
 chroot: ""
 pidfile: ""
 use-syslog: no
 logfile: ""
 do-ip6: no
 num-threads: 1
 module-config: iterator
 do-not-query-localhost: no
 infra-host-ttl: 1
 outbound-msg-retry: 1
remote-control:
 control-enable: no
%s`, s.port, s.dir, zones)
}

func dnsmasq() kind {
	return kind{
		name: "dnsmasq", path: "dnsmasq/dnsmasq",
		files: func(s setup) map[string]string {
			return map[string]string{"hosts": s.zone.hostsFile(), "dnsmasq.conf": dnsmasqConf(s)}
		},
		args: func(dir string) []string {
			return []string{"--keep-in-foreground", "--conf-file=" + filepath.Join(dir, "dnsmasq.conf")}
		},
	}
}

// dnsmasqConf has the SRV records and aliases, which dnsmasq reads at its start
// only.
func dnsmasqConf(s setup) string {
	var b strings.Builder
	fmt.Fprintf(&b, "port=%d\nuser=%s\n", s.port, userName())
	b.WriteString("listen-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\npid-file=\nlog-facility=-\n")
	fmt.Fprintf(&b, "addn-hosts=%s\nlocal=/%s/\nlocal-ttl=%d\n", filepath.Join(s.dir, "hosts"), undot(s.zone.Name), s.zone.seconds())
	fmt.Fprintf(&b, "txt-record=%s,%d\n", s.zone.versionName(), s.version)
	sorted(s.zone.Services, func(name string, targets []Target) {
		for _, t := range targets {
			fmt.Fprintf(&b, "srv-host=%s,%s,%d,%d,%d\n", undot(name), undot(t.Name), t.Port, t.Priority, t.Weight)
		}
	})
	sorted(s.zone.Aliases, func(name, target string) {
		fmt.Fprintf(&b, "cname=%s,%s,%d\n", undot(name), undot(target), s.zone.seconds())
	})
	return b.String()
}

// userName is whom dnsmasq is told to run as: whoever runs the test.
func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return strconv.Itoa(os.Getuid())
}
