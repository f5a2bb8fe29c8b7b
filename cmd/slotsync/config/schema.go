package config

import (
	"iter"
	"reflect"
	"strings"
)

// The raw types below are the schema of the configuration: the parser, the
// environment and "did you mean" all read it by reflection. Texts such as
// durations are judged in check.go, where they become typed values. The tag
// number:"unit" is of texts that begin with a number, such as durations: one without
// its unit is judged there as well, where what it may be is known.

type rawConfig struct {
	HAProxy  rawHAProxy   `mapstructure:"haproxy"`
	Reload   rawReload    `mapstructure:"reload"`
	Sources  []rawSource  `mapstructure:"sources"`
	Backends []rawBackend `mapstructure:"backends"`
	Defaults rawDefaults  `mapstructure:"defaults"`
	Guard    rawGuard     `mapstructure:"guard"`
	HTTP     rawHTTP      `mapstructure:"http"`
	Log      rawLog       `mapstructure:"log"`
	StateDir string       `mapstructure:"state_dir"`
}

type rawHAProxy struct {
	Timeout   string        `mapstructure:"timeout" number:"unit"`
	Poll      string        `mapstructure:"poll" number:"unit"`
	Resync    string        `mapstructure:"resync" number:"unit"`
	LockWait  string        `mapstructure:"lock_wait" number:"unit"`
	Instances []rawInstance `mapstructure:"instances"`
}

type rawInstance struct {
	Name      string `mapstructure:"name"`
	Socket    string `mapstructure:"socket"`
	StateFile string `mapstructure:"state_file"`
	// Reload replaces the default; "none" is the word for never.
	Reload rawReload `mapstructure:"reload"`
}

type rawReload struct {
	Master      string   `mapstructure:"master"`
	Command     []string `mapstructure:"command"`
	Template    string   `mapstructure:"template"`
	File        string   `mapstructure:"file"`
	Check       []string `mapstructure:"check"`
	Keep        int      `mapstructure:"keep"`
	MinInterval string   `mapstructure:"min_interval" number:"unit"`
	MaxPerHour  int      `mapstructure:"max_per_hour"`
	Jitter      string   `mapstructure:"jitter" number:"unit"`
	Timeout     string   `mapstructure:"timeout" number:"unit"`
	// None is set by the word "none" in place of all keys, and no key itself.
	None bool `mapstructure:"none" word:"none"`
}

type rawSource struct {
	Name string `mapstructure:"name"`
	Type string `mapstructure:"type"`

	Address      string `mapstructure:"address"`
	TokenFile    string `mapstructure:"token_file"`
	Datacenter   string `mapstructure:"datacenter"`
	Namespace    string `mapstructure:"namespace"`
	Partition    string `mapstructure:"partition"`
	Region       string `mapstructure:"region"`
	Consistency  string `mapstructure:"consistency"`
	MaxStale     string `mapstructure:"max_stale" number:"unit"`
	Wait         string `mapstructure:"wait" number:"unit"`
	PollInterval string `mapstructure:"poll_interval" number:"unit"`
	TLS          rawTLS `mapstructure:"tls"`

	Servers      []string `mapstructure:"servers"`
	TCP          string   `mapstructure:"tcp"`
	Search       bool     `mapstructure:"search"`
	Timeout      string   `mapstructure:"timeout" number:"unit"`
	MinRefresh   string   `mapstructure:"min_refresh" number:"unit"`
	MaxRefresh   string   `mapstructure:"max_refresh" number:"unit"`
	Answers      string   `mapstructure:"answers"`
	HoldObsolete string   `mapstructure:"hold_obsolete" number:"unit"`

	Path string `mapstructure:"path"`
}

type rawTLS struct {
	CAFile             string `mapstructure:"ca_file"`
	CAPath             string `mapstructure:"ca_path"`
	CertFile           string `mapstructure:"cert_file"`
	KeyFile            string `mapstructure:"key_file"`
	ServerName         string `mapstructure:"server_name"`
	InsecureSkipVerify bool   `mapstructure:"insecure_skip_verify"`
}

// A rawFeed is a source and what it is asked: part of a backend, or an entry
// of from.
type rawFeed struct {
	Source  string `mapstructure:"source"`
	Service string `mapstructure:"service"`
	rawAsk  `mapstructure:",squash"`

	Record string `mapstructure:"record"`
	Type   string `mapstructure:"type"`
	Port   int    `mapstructure:"port"`
}

// A rawAsk is how services are asked for, whatever their names.
type rawAsk struct {
	Tags             []string `mapstructure:"tags"`
	Filter           string   `mapstructure:"filter"`
	NodeMeta         []string `mapstructure:"node_meta"`
	AddressTag       string   `mapstructure:"address_tag"`
	PortName         string   `mapstructure:"port_name"`
	DefaultPort      int      `mapstructure:"default_port"`
	Datacenter       string   `mapstructure:"datacenter"`
	Health           string   `mapstructure:"health"`
	IgnoreNodeHealth bool     `mapstructure:"ignore_node_health"`
}

type rawFrom struct {
	Name    string `mapstructure:"name"`
	rawFeed `mapstructure:",squash"`
}

type rawFailover struct {
	Primary string `mapstructure:"primary"`
	Min     int    `mapstructure:"min"`
	After   string `mapstructure:"after" number:"unit"`
	Back    string `mapstructure:"back_after" number:"unit"`
}

type rawBackend struct {
	Name      string   `mapstructure:"name"`
	Backend   string   `mapstructure:"backend"`
	Slots     string   `mapstructure:"slots"`
	Instances []string `mapstructure:"instances"`

	rawFeed   `mapstructure:",squash"`
	From      []rawFrom   `mapstructure:"from"`
	Failover  rawFailover `mapstructure:"failover"`
	Endpoints []string    `mapstructure:"endpoints"`

	rawRules `mapstructure:",squash"`
}

// rawRules say how a backend is filled, whatever with.
type rawRules struct {
	Family         string   `mapstructure:"family"`
	Allow          []string `mapstructure:"allow"`
	Deny           []string `mapstructure:"deny"`
	OnAllUnhealthy string   `mapstructure:"on_all_unhealthy"`

	Dynamic        bool   `mapstructure:"dynamic"`
	DynamicOptions string `mapstructure:"dynamic_options"`
	MaxSlots       int    `mapstructure:"max_slots"`

	Leave         string   `mapstructure:"leave"`
	Drain         string   `mapstructure:"drain" number:"unit"`
	DrainShutdown bool     `mapstructure:"drain_shutdown"`
	Guard         rawGuard `mapstructure:"guard"`
	External      string   `mapstructure:"external"`
}

// rawDefaults are the keys of a backend that may be the same for all of them.
type rawDefaults struct {
	Slots     string   `mapstructure:"slots"`
	Instances []string `mapstructure:"instances"`
	Source    string   `mapstructure:"source"`
	rawAsk    `mapstructure:",squash"`
	rawRules  `mapstructure:",squash"`
}

type rawGuard struct {
	EmptyHold    string `mapstructure:"empty_hold" number:"unit"`
	RemovalHold  string `mapstructure:"removal_hold" number:"unit"`
	MaxRemoval   string `mapstructure:"max_removal" number:"unit"`
	Window       string `mapstructure:"window" number:"unit"`
	TurnoverWait string `mapstructure:"turnover_wait" number:"unit"`
	MinEndpoints int    `mapstructure:"min_endpoints"`
}

type rawHTTP struct {
	Listen      string   `mapstructure:"listen"`
	Socket      string   `mapstructure:"socket"`
	SocketMode  string   `mapstructure:"socket_mode"`
	SocketGroup string   `mapstructure:"socket_group"`
	Hosts       []string `mapstructure:"hosts"`
	TokenFile   string   `mapstructure:"token_file"`
	// ReadTokenFile has a token with which one may only read.
	ReadTokenFile string `mapstructure:"read_token_file"`
	Loopback      string `mapstructure:"loopback"`
	MaxFor        string `mapstructure:"max_for"`
	// WebConfigFile is in the format of Prometheus' exporter-toolkit.
	WebConfigFile string `mapstructure:"web_config_file"`
}

type rawLog struct {
	Level  string `mapstructure:"level"`
	Format string `mapstructure:"format"`
}

// Where the unix socket of the API is unless the configuration says otherwise.
const defaultAPISocket = "/run/slotsync/slotsync.sock"

// defaults are the values of keys outside lists. Those within lists are given
// where the raw values become typed ones, since a list has no fixed paths.
func defaults(env Environment) map[string]any {
	return map[string]any{
		"haproxy.timeout":     "5s",
		"haproxy.poll":        "500ms",
		"haproxy.resync":      "30s",
		"haproxy.lock_wait":   "0s",
		"guard.empty_hold":    "5m",
		"guard.removal_hold":  "30s",
		"guard.max_removal":   "50%",
		"guard.window":        "5m",
		"guard.turnover_wait": "15s",
		"http.listen":         "127.0.0.1:9750",
		"http.socket":         defaultAPISocket,
		"http.socket_mode":    "0660",
		"http.loopback":       "read",
		"http.max_for":        "30d",
		"log.level":           "info",
		"log.format":          "text",
		"state_dir":           defaultStateDir(env),
	}
}

func defaultStateDir(env Environment) string {
	switch name := stateVariable(env); name {
	case "NOMAD_ALLOC_DIR":
		return env[name] + "/data/slotsync"
	case "":
		return "/var/lib/slotsync"
	default:
		return firstPath(env[name])
	}
}

// stateVariable is the variable by which systemd or Nomad says where state is
// kept; "" if neither does.
func stateVariable(env Environment) string {
	switch {
	case firstPath(env["STATE_DIRECTORY"]) != "":
		return "STATE_DIRECTORY"
	case env["NOMAD_ALLOC_DIR"] != "":
		return "NOMAD_ALLOC_DIR"
	}
	return ""
}

// firstPath is the first of the folders that systemd joins by a colon where a unit has
// several.
func firstPath(joined string) string {
	first, _, _ := strings.Cut(joined, ":")
	return first
}

// fields yields the keys of a struct of the schema and the types behind them.
// What a word stands for is no key.
func fields(t reflect.Type) iter.Seq2[string, reflect.Type] {
	return func(yield func(string, reflect.Type) bool) {
		for key, f := range members(t) {
			if !yield(key, f.Type) {
				return
			}
		}
	}
}

// members yields the keys of a struct of the schema and its fields, with those of
// the structs that are part of it.
func members(t reflect.Type) iter.Seq2[string, reflect.StructField] {
	return func(yield func(string, reflect.StructField) bool) {
		for _, f := range reflect.VisibleFields(t) {
			if f.Anonymous || f.Tag.Get("word") != "" {
				continue
			}
			if !yield(f.Tag.Get("mapstructure"), f) {
				return
			}
		}
	}
}

// scalars yields the paths of all values outside lists, and their kinds: those
// that the environment can override.
func scalars(t reflect.Type, prefix string) iter.Seq2[string, reflect.Kind] {
	return func(yield func(string, reflect.Kind) bool) {
		for key, ft := range fields(t) {
			switch ft.Kind() {
			case reflect.Slice:
			case reflect.Struct:
				for path, kind := range scalars(ft, prefix+key+".") {
					if !yield(path, kind) {
						return
					}
				}
			default:
				if !yield(prefix+key, ft.Kind()) {
					return
				}
			}
		}
	}
}
