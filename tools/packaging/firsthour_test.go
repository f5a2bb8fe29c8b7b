package packaging_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

const debianConfig = "/etc/haproxy/haproxy.cfg"

// TestPackageFirstHour runs the scripts of docs/first-hour.md on a machine that has what they
// say: Debian's HAProxy as it comes, and Consul or DNS with a service.
func TestPackageFirstHour(t *testing.T) {
	m := newMachine(t)
	blocks := pageBlocks(t, "../../docs/first-hour.md")
	deb := pack(t, buildProgram(t, "v0.0.1"), "v0.0.1").deb
	m.boot()
	bare := filepath.Join(haproxytest.Deps(t), "haproxy-2.6", debianConfig)
	m.addHAProxy(bare)
	m.install(deb, "/root/slotsync.deb", 0o644)
	m.run("sh", "-c", "rm -rf /var/lib/apt/lists/*") // else apt wants to fetch what is recommended
	m.write("/etc/apt/apt.conf.d/99quick", "DPkg::Options:: \"--no-triggers\";\n", 0o644)
	m.serve(addresses(2))
	m.names()
	m.catalog()
	m.walk([]step{
		{"with Consul", func(m *machine) {
			m.script(blocks, "script: consul")
			m.underLoad(func() {})
		}},
		{"with DNS only", func(m *machine) {
			m.fresh(read(m.t, bare))
			m.run("systemctl", "stop", "consul")
			m.script(blocks, "script: dns")
			m.underLoad(func() {})
			m.run("systemctl", "start", "consul")
			m.registers()
		}},
		{"an HAProxy in use is only looked at", func(m *machine) { m.onlyLooks(read(m.t, bare), blocks) }},
		{"and is taken over under load", func(m *machine) {
			m.underLoad(func() {
				m.script(blocks, "script: take over")
				m.synced(10)
			})
		}},
	})
}

// pageBlocks returns the blocks of a page that a comment names.
func pageBlocks(t *testing.T, page string) map[string]string {
	t.Helper()
	blocks := map[string]string{}
	for _, b := range regexp.MustCompile("(?s)<!-- ([a-z]+: [a-z ]+) -->\n```[a-z]*\n(.*?)```").FindAllStringSubmatch(read(t, page), -1) {
		blocks[b[1]] = b[2]
	}
	return blocks
}

// script runs a block as a shell would, in the folder of the package. A command whose comment
// names an exit code has to end with it. It returns what was printed.
func (m *machine) script(blocks map[string]string, name string) string {
	m.t.Helper()
	text := blocks[name]
	if lines := strings.Count(text, "\n"); lines == 0 || lines > 12 {
		m.t.Fatalf("the page has %d lines of %q", lines, name)
	}
	text = regexp.MustCompile(`(?m)^(.*) # exit (\d):.*$`).ReplaceAllString(text, "code=0; $1 || code=$$?; test $$code = $2")
	return m.run("sh", "-euc", "cd /root\n"+text)
}

// fresh takes slotsync off and gives HAProxy a configuration, from its start.
func (m *machine) fresh(config string) {
	m.t.Helper()
	m.run("dpkg", "--no-triggers", "-P", "slotsync")
	m.fails("test", "-e", "/etc/slotsync/slotsync.yaml")
	m.write(debianConfig, config, 0o644)
	m.run("systemctl", "restart", "haproxy")
}

// onlyLooks: init says on an HAProxy with hand-written servers what the page shows, and leaves
// it as it was.
func (m *machine) onlyLooks(bare string, blocks map[string]string) {
	config := bare + "\n" + blocks["haproxy: in use"]
	m.fresh(config)
	servers := func() (text string) {
		for line := range strings.Lines(haproxytest.Ask(m.t, m.path("/run/haproxy/admin.sock"), "show servers state web")) {
			if f := strings.Fields(line); len(f) > 18 { // name, address, administrative state, weight, port
				text += strings.Join([]string{f[3], f[4], f[6], f[7], f[18]}, " ") + "\n"
			}
		}
		return text
	}
	before := servers()
	m.contains(before, "app1 127.9.0.1", "app2 127.9.0.2")
	said := m.script(blocks, "script: look")
	said = regexp.MustCompile(`HAProxy \S+,`).ReplaceAllString(said, "HAProxy 2.6.12,")
	m.contains(said, strings.TrimSpace(blocks["output: look"]))
	if read(m.t, m.path(debianConfig)) != config || servers() != before {
		m.t.Errorf("HAProxy is not as it was:\n%s\n%s", before, servers())
	}
	m.contains(read(m.t, m.path("/etc/slotsync/slotsync.yaml")), "slotsync follows nothing yet")
	m.fails("systemctl", "is-active", "slotsync")
}

// catalog runs Consul on the machine, with the servers registered.
func (m *machine) catalog() {
	m.t.Helper()
	m.write("/etc/systemd/system/consul.service",
		"[Service]\nExecStart="+filepath.Join(haproxytest.Deps(m.t), "consul/consul")+" agent -dev -bind 127.0.0.1\n", 0o644)
	m.run("systemctl", "daemon-reload")
	m.run("systemctl", "start", "consul")
	m.registers()
}

func (m *machine) registers() {
	m.t.Helper()
	for _, addr := range addresses(2) {
		host, port, _ := strings.Cut(addr, ":")
		m.eventually("Consul takes "+addr, func() bool {
			_, err := m.try("curl", "-sf", "-X", "PUT", "-d", `{"Name": "web", "ID": "`+host+`", "Address": "`+host+`", "Port": `+port+`}`,
				"http://127.0.0.1:8500/v1/agent/service/register")
			return err == nil
		})
	}
}

// names runs a DNS server on the machine that has the servers as SRV records.
func (m *machine) names() {
	m.t.Helper()
	command := filepath.Join(haproxytest.Deps(m.t), "dnsmasq/dnsmasq") + " --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --listen-address=127.0.0.1 --bind-interfaces --user=root --pid-file="
	for _, addr := range addresses(2) {
		host, port, _ := strings.Cut(addr, ":")
		name := "s" + strings.ReplaceAll(host, ".", "-") + ".example.org"
		command += " --host-record=" + name + "," + host + " --srv-host=_web._tcp.example.org," + name + "," + port
	}
	m.write("/etc/systemd/system/names.service", "[Service]\nExecStart="+command+"\n", 0o644)
	m.run("systemctl", "daemon-reload")
	m.run("systemctl", "start", "names")
}
