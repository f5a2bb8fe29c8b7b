package config

import (
	"io/fs"
	"net/netip"
	"time"

	"github.com/slotsync/slotsync/agent/web/auth"
)

// The types below are the configuration file: each key is described here and nowhere
// else. Parsing, defaults, the environment, "did you mean", the JSON Schema and
// docs/configuration.md are made of the tags:
//
//	yaml      the key
//	doc       what it is, in a sentence
//	default   what stands for nothing; consul, nomad: the same for sources of that type
//	min, max  bounds, both included
//	enum      the words that a text may be
//	format    what a text, or each text of a list, must look like: see formats
//	for       the types of source that have the key
//	required  the types of source that need it, or always; missing: what is said then
//	empty     an empty text is kept, and stands for this
//	optional  keys of the mapping have defaults only where it is written
//	word      set by a word in place of the mapping, and no key itself

type rootKeys struct {
	HAProxy  haproxyKeys   `yaml:"haproxy" doc:"the instances of HAProxy, and how they are spoken to"`
	Reload   Reload        `yaml:"reload" optional:"yes" doc:"how HAProxy is reloaded; none, or nothing: slotsync never reloads it"`
	Sources  []sourceKeys  `yaml:"sources" doc:"the discovery systems"`
	Backends []backendKeys `yaml:"backends" required:"always" missing:"there is no backend: name at least one and its source" doc:"the backends of HAProxy that are filled, and what with; at least one"`
	Defaults defaultKeys   `yaml:"defaults" optional:"yes" doc:"what every backend has that does not say otherwise"`
	Guard    guardKeys     `yaml:"guard" doc:"what is held back; the default for all backends"`
	HTTP     HTTP          `yaml:"http" doc:"how the agent is reached: API, page and metrics"`
	Log      logKeys       `yaml:"log" doc:"the log"`
	StateDir string        `yaml:"state_dir" default:"/var/lib/slotsync" empty:"refused" format:"state dir" doc:"where state is kept; without it the first path of $STATE_DIRECTORY, else $NOMAD_ALLOC_DIR/data/slotsync; none: nothing is kept"`
	SlotMap  string        `yaml:"slot_map" format:"path" doc:"a file: the HAProxy map from \"backend/server\" to what the source calls the instance, for log-format; without it none is kept"`
}

type haproxyKeys struct {
	Timeout   time.Duration  `yaml:"timeout" default:"5s" min:"50ms" max:"1m" doc:"one round of commands to one instance"`
	Poll      time.Duration  `yaml:"poll" default:"500ms" min:"20ms" max:"1m" doc:"how often an instance is asked whether it was restarted"`
	Resync    time.Duration  `yaml:"resync" default:"30s" min:"100ms" max:"1h" doc:"how often live slots are compared with the table"`
	LockWait  time.Duration  `yaml:"lock_wait" default:"0s" min:"0s" max:"1h" doc:"how long a lock that another agent holds is waited for; 30s where HAProxy starts slotsync (program section)"`
	Instances []instanceKeys `yaml:"instances" required:"always" missing:"there is no instance: name at least one HAProxy and its socket" doc:"each HAProxy, at least one"`
}

type instanceKeys struct {
	Name      string `yaml:"name" format:"name" required:"always" doc:"its name, unique; the label haproxy in metrics"`
	Socket    string `yaml:"socket" format:"socket" required:"always" missing:"is missing: a path, unix:///path or tcp://host:port" doc:"the Runtime API: a path, unix:///path or tcp://host:port"`
	StateFile string `yaml:"state_file" format:"state file" doc:"the server state file that HAProxy loads when it starts, with {backend} for the backend's name; without it none is written"`
	Reload    Reload `yaml:"reload" optional:"yes" doc:"replaces the reload of all instances whole; none: never"`
}

// A Reload is one way to reload HAProxy.
type Reload struct {
	Name      string   `yaml:"-"` // "haproxy" for the default, else the instance's
	Instances []string `yaml:"-"` // that it reloads
	Key       string   `yaml:"-"` // differs if anything of it does

	Master      string        `yaml:"master" format:"socket" doc:"the socket of HAProxy's master CLI (haproxy -W -S); this or command, not both"`
	Command     []string      `yaml:"command" doc:"a program and its arguments, without a shell"`
	Template    string        `yaml:"template" format:"path" doc:"a template that file is rendered from, so that slots can grow"`
	File        string        `yaml:"file" format:"path" doc:"HAProxy's configuration file; template and check need it"`
	Check       []string      `yaml:"check" doc:"a program that checks the file, with {{.File}} for its path; without it the master's verdict decides"`
	Keep        int           `yaml:"keep" default:"10" min:"1" max:"1000" doc:"how many versions of file are kept"`
	MinInterval time.Duration `yaml:"min_interval" default:"30s" min:"0s" max:"24h" doc:"the time between two reloads that nobody asked for"`
	MaxPerHour  int           `yaml:"max_per_hour" default:"10" min:"1" max:"1000" doc:"how many of those there may be in an hour"`
	Jitter      time.Duration `yaml:"jitter" default:"5s" min:"0s" max:"1h" doc:"such a reload waits for up to this long, so that not all hosts reload at once"`
	Timeout     time.Duration `yaml:"timeout" default:"1m" min:"1s" max:"1h" doc:"how long each step may take"`
	None        bool          `yaml:"none" word:"none"`
}

type sourceKeys struct {
	Name string `yaml:"name" format:"name" required:"always" doc:"its name, unique"`
	Type string `yaml:"type" enum:"consul, dns, file, nomad" required:"always" missing:"is missing: one of consul, dns, file, nomad" doc:"which system it is"`

	Address      string        `yaml:"address" for:"consul, nomad" consul:"http://127.0.0.1:8500" nomad:"http://127.0.0.1:4646" format:"url" doc:"http://host:port, https://host:port or unix:///path; else CONSUL_HTTP_ADDR, NOMAD_ADDR"`
	TokenFile    string        `yaml:"token_file" for:"consul, nomad" format:"path" doc:"a file with the token, read again when it changes; else CONSUL_HTTP_TOKEN_FILE, CONSUL_HTTP_TOKEN, NOMAD_TOKEN"`
	Datacenter   string        `yaml:"datacenter" for:"consul" format:"name" doc:"the datacenter to ask for; without it that of the agent that is asked"`
	Namespace    string        `yaml:"namespace" for:"consul, nomad" nomad:"default" format:"name" doc:"the namespace of the services; without it the token's own (Consul Enterprise); else CONSUL_NAMESPACE, NOMAD_NAMESPACE"`
	Partition    string        `yaml:"partition" for:"consul" format:"name" doc:"the partition of the services; without it the agent's own (Consul Enterprise); else CONSUL_PARTITION"`
	Region       string        `yaml:"region" for:"nomad" format:"name" doc:"the region to ask; without it the agent's own; else NOMAD_REGION"`
	Consistency  string        `yaml:"consistency" for:"consul" default:"stale" enum:"stale, default, cached" doc:"who may answer: any server, the leader alone, or the agent's cache"`
	MaxStale     time.Duration `yaml:"max_stale" for:"consul" default:"10s" min:"100ms" max:"1h" doc:"how far an answer may be behind the leader"`
	Wait         time.Duration `yaml:"wait" for:"consul, nomad" default:"1m" min:"1s" max:"10m" doc:"how long a blocking query waits for news"`
	PollInterval time.Duration `yaml:"poll_interval" for:"consul, nomad" default:"10s" min:"1s" max:"10m" doc:"how often services are asked for that find no connection to wait on"`
	TLS          tlsKeys       `yaml:"tls" for:"consul, nomad" doc:"how addresses of https:// are spoken to; else CONSUL_CACERT, NOMAD_CACERT and so on"`

	Servers      []string      `yaml:"servers" for:"dns" format:"ip:port" doc:"the servers to ask; without them those of /etc/resolv.conf"`
	TCP          string        `yaml:"tcp" for:"dns" default:"auto" enum:"auto, always, never" doc:"whether TCP is used"`
	Search       bool          `yaml:"search" for:"dns" default:"false" doc:"whether names are completed as resolv.conf says"`
	Timeout      time.Duration `yaml:"timeout" for:"dns" default:"2s" min:"10ms" max:"8s" doc:"one try; servers of resolv.conf: as that says"`
	MinRefresh   time.Duration `yaml:"min_refresh" for:"dns" default:"5s" min:"10ms" max:"1h" doc:"TTLs are obeyed from this"`
	MaxRefresh   time.Duration `yaml:"max_refresh" for:"dns" default:"30s" min:"10ms" max:"24h" doc:"TTLs are obeyed up to this"`
	Answers      string        `yaml:"answers" for:"dns" default:"auto" enum:"auto, full, partial" doc:"whether an answer may be a part of what there is"`
	HoldObsolete time.Duration `yaml:"hold_obsolete" for:"dns" default:"1m" min:"1s" max:"1h" doc:"how long at least an endpoint is kept that partial answers leave out"`

	Path string `yaml:"path" for:"file" required:"file" missing:"is missing: the files, as in /etc/slotsync/endpoints/*.yaml" doc:"the files, in the format of Prometheus' file_sd (YAML or JSON), as in /etc/slotsync/endpoints/*.yaml"`
}

// The fields are those of [longpoll.TLS].
type tlsKeys struct {
	CAFile             string `yaml:"ca_file" format:"path" doc:"authorities in PEM; without this and ca_path the system's"`
	CAPath             string `yaml:"ca_path" format:"path" doc:"a folder of such files"`
	CertFile           string `yaml:"cert_file" format:"path" doc:"the client certificate, read again when it changes"`
	KeyFile            string `yaml:"key_file" format:"path" doc:"its key"`
	ServerName         string `yaml:"server_name" doc:"the name that the server's certificate must have; without it the host of address"`
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify" default:"false" doc:"whether any certificate is accepted"`
}

// feedKeys are what a source is asked: part of a backend, or an entry of from.
type feedKeys struct {
	Service string `yaml:"service" for:"consul, file, nomad" required:"consul, nomad" format:"name" doc:"the service; of files without it: everything in them"`
	queryKeys
	Record string `yaml:"record" for:"dns" required:"dns" format:"domain" doc:"the name in DNS"`
	Type   string `yaml:"type" for:"dns" enum:"A+AAAA, A, AAAA, SRV" doc:"the records; without it SRV for names that start with _, else A+AAAA"`
	Port   int    `yaml:"port" for:"dns" min:"1" max:"65535" doc:"the port of address records, which have none; SRV records have their own"`
}

// queryKeys are how services are asked for, whatever their names.
type queryKeys struct {
	Tags             []string `yaml:"tags" for:"consul, nomad" format:"tag" doc:"tags that must all be there"`
	Filter           string   `yaml:"filter" for:"consul, nomad" doc:"an expression in the filter language of the system"`
	NodeMeta         []string `yaml:"node_meta" for:"consul" format:"key:value" doc:"metadata of the node, as key:value, that must all be there"`
	AddressTag       string   `yaml:"address_tag" for:"consul" doc:"the tagged address to use; without it the address"`
	PortName         string   `yaml:"port_name" for:"consul" doc:"the one of several ports; without it the default port"`
	DefaultPort      int      `yaml:"default_port" for:"consul" min:"1" max:"65535" doc:"the port of instances that are registered without one"`
	Datacenter       string   `yaml:"datacenter" for:"consul" format:"name" doc:"the datacenter; without it the source's"`
	Health           string   `yaml:"health" for:"consul" default:"warning" enum:"warning, passing, any" doc:"the worst health that still serves"`
	IgnoreNodeHealth bool     `yaml:"ignore_node_health" for:"consul" default:"false" doc:"whether checks of the node do not count"`
}

type fromKeys struct {
	Name   string `yaml:"name" format:"name" doc:"what the entry is called; without it the source's name"`
	Source string `yaml:"source" required:"always" doc:"the name of a source"`
	feedKeys
}

// The fields are those of [sources.Failover].
type failoverKeys struct {
	Primary string        `yaml:"primary" required:"always" missing:"is missing: the source that is used as long as it has enough" doc:"the entry of from that is used as long as it has enough; the others stand in"`
	Min     int           `yaml:"min" default:"1" min:"1" max:"10000" doc:"how many ready endpoints are enough"`
	After   time.Duration `yaml:"after" default:"10s" min:"100ms" max:"24h" doc:"how long it must have fewer before the others stand in"`
	Back    time.Duration `yaml:"back_after" default:"1m" min:"100ms" max:"24h" doc:"how long it must have enough again before they go"`
}

type backendKeys struct {
	Name      string   `yaml:"name" format:"name" required:"always" doc:"its name, unique"`
	Backend   string   `yaml:"backend" format:"name" doc:"HAProxy's backend; without it name"`
	Slots     string   `yaml:"slots" format:"name" doc:"the prefix of the server-template; without it found, if there is exactly one"`
	Instances []string `yaml:"instances" doc:"the instances that have it; without it, or empty: all"`
	Source    string   `yaml:"source" doc:"the name of a source; a backend has source, from or endpoints"`
	feedKeys
	From      []fromKeys   `yaml:"from" doc:"several sources: everything that they list; each entry has the keys of its source"`
	Failover  failoverKeys `yaml:"failover" optional:"yes" doc:"one source of from first, the others in its place; without it all at the same time"`
	Endpoints []string     `yaml:"endpoints" format:"endpoint" doc:"fixed endpoints, as in 10.0.0.1:80 or [2001:db8::1]:80"`
	ruleKeys
}

// ruleKeys say how a backend is filled, whatever with.
type ruleKeys struct {
	Family         string         `yaml:"family" default:"any" enum:"any, v4, v6, prefer-v4" doc:"which addresses are let in"`
	Allow          []netip.Prefix `yaml:"allow" doc:"networks that endpoints must be in; without it all but those that are never let in"`
	Deny           []netip.Prefix `yaml:"deny" doc:"networks that endpoints must not be in, even if allow has them"`
	OnAllUnhealthy string         `yaml:"on_all_unhealthy" default:"auto" enum:"auto, keep, drop" doc:"what happens if all endpoints are unhealthy; auto: keep if HAProxy checks the slots, else drop"`
	Dynamic        bool           `yaml:"dynamic" default:"false" doc:"whether servers are added at run time when the slots run out"`
	DynamicOptions string         `yaml:"dynamic_options" format:"options" doc:"keywords of such a server, as in check inter 1s"`
	MaxSlots       int            `yaml:"max_slots" default:"1000" min:"1" max:"100000" doc:"no template is asked for more slots"`
	Leave          string         `yaml:"leave" default:"maint" enum:"maint, drain" doc:"how an endpoint that went is taken out of service"`
	Drain          time.Duration  `yaml:"drain" default:"30s" min:"10ms" max:"24h" doc:"how long leave: drain drains"`
	DrainShutdown  bool           `yaml:"drain_shutdown" default:"false" doc:"whether sessions are ended that are left so long after an endpoint went"`
	Guard          guardKeys      `yaml:"guard" doc:"what is held back; without a key the guard of all backends"`
	External       string         `yaml:"external" default:"respect" enum:"respect, repair" doc:"what happens to a slot that somebody else takes out of service"`
}

// defaultKeys are the keys of a backend that may be the same for all of them.
type defaultKeys struct {
	Slots     string   `yaml:"slots" format:"name" doc:"as of a backend"`
	Instances []string `yaml:"instances" doc:"as of a backend"`
	Source    string   `yaml:"source" doc:"as of a backend"`
	queryKeys
	ruleKeys
}

// The fields are those of [guard.Rules].
type guardKeys struct {
	EmptyHold    time.Duration `yaml:"empty_hold" default:"5m" min:"100ms" max:"7d" format:"hold" doc:"how long an empty set is held"`
	RemovalHold  time.Duration `yaml:"removal_hold" default:"30s" min:"100ms" max:"7d" format:"hold" doc:"how long a set is held that lacks too many"`
	MaxRemoval   float64       `yaml:"max_removal" default:"50%" doc:"too many: more than this share of what was there in the window"`
	Window       time.Duration `yaml:"window" default:"5m" min:"1s" max:"24h" doc:"how far back is looked for what was there"`
	TurnoverWait time.Duration `yaml:"turnover_wait" default:"15s" min:"100ms" max:"7d" format:"wait" doc:"how long old endpoints wait for one of an entirely new set to be up, and how long one that nobody checks serves until it has proved itself"`
	MinEndpoints int           `yaml:"min_endpoints" default:"0" min:"0" max:"10000" doc:"what goes below it is held, however few are missing"`
}

// HTTP is how the agent is reached, for its API and its metrics.
type HTTP struct {
	// SocketIsDefault reports that no configuration names the socket.
	SocketIsDefault bool `yaml:"-"`

	Listen        string        `yaml:"listen" default:"127.0.0.1:9750" empty:"none" format:"listen" doc:"the TCP listener, as host:port"`
	Socket        string        `yaml:"socket" default:"/run/slotsync/slotsync.sock" empty:"none" format:"api socket" doc:"the unix socket"`
	SocketMode    fs.FileMode   `yaml:"socket_mode" default:"0660" doc:"its mode"`
	SocketGroup   string        `yaml:"socket_group" doc:"its group; without it the process's own"`
	Hosts         []string      `yaml:"hosts" format:"name" doc:"further names under which the listener may be asked"`
	TokenFile     string        `yaml:"token_file" doc:"a bearer token with which one may do everything; this or passwords or certificates are needed if listen is not loopback"`
	ReadTokenFile string        `yaml:"read_token_file" doc:"a bearer token with which one may only read"`
	Loopback      auth.Loopback `yaml:"loopback" default:"read" enum:"read, operate, none" doc:"what those may who show nothing over loopback; operate: also drain, pause and so on, unless there is a token or a user"`
	MaxFor        time.Duration `yaml:"max_for" default:"30d" min:"1m" max:"300d" doc:"the longest that something may hold which is asked for without full rights"`
	WebConfigFile string        `yaml:"web_config_file" format:"path" doc:"TLS, client certificates and passwords of the listener, in the format of Prometheus' exporter-toolkit"`
	Audit         string        `yaml:"audit" format:"path" doc:"a file that gets a line of JSON for each change that is asked for: who, what, when, from where, why; others may rotate it"`
}

type logKeys struct {
	Level  string `yaml:"level" default:"info" enum:"info, debug, warn, error" doc:"what is logged at least"`
	Format string `yaml:"format" default:"text" enum:"text, json" doc:"how it is written"`
}
