package main

import (
	"iter"
	"reflect"
)

// The raw types below are the schema of the configuration: the parser, the
// environment and "did you mean" all read it by reflection. Texts such as
// durations are judged in config_check.go, where they become typed values.

type rawConfig struct {
	HAProxy  rawHAProxy   `mapstructure:"haproxy"`
	Reload   rawReload    `mapstructure:"reload"`
	Sources  []rawSource  `mapstructure:"sources"`
	Backends []rawBackend `mapstructure:"backends"`
	Guard    rawGuard     `mapstructure:"guard"`
	HTTP     rawHTTP      `mapstructure:"http"`
	Log      rawLog       `mapstructure:"log"`
	StateDir string       `mapstructure:"state_dir"`
}

type rawHAProxy struct {
	Timeout   string        `mapstructure:"timeout"`
	Poll      string        `mapstructure:"poll"`
	Resync    string        `mapstructure:"resync"`
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
	MinInterval string   `mapstructure:"min_interval"`
	MaxPerHour  int      `mapstructure:"max_per_hour"`
	Jitter      string   `mapstructure:"jitter"`
	Timeout     string   `mapstructure:"timeout"`
	// None is set by the word "none" in place of all keys, and no key itself.
	None bool `mapstructure:"none" word:"none"`
}

type rawSource struct {
	Name string `mapstructure:"name"`
	Type string `mapstructure:"type"`

	Address     string `mapstructure:"address"`
	TokenFile   string `mapstructure:"token_file"`
	Datacenter  string `mapstructure:"datacenter"`
	Consistency string `mapstructure:"consistency"`
	MaxStale    string `mapstructure:"max_stale"`
	Wait        string `mapstructure:"wait"`
	TLS         rawTLS `mapstructure:"tls"`

	Servers    []string `mapstructure:"servers"`
	TCP        string   `mapstructure:"tcp"`
	Timeout    string   `mapstructure:"timeout"`
	MinRefresh string   `mapstructure:"min_refresh"`
	MaxRefresh string   `mapstructure:"max_refresh"`
}

type rawTLS struct {
	CAFile             string `mapstructure:"ca_file"`
	CertFile           string `mapstructure:"cert_file"`
	KeyFile            string `mapstructure:"key_file"`
	ServerName         string `mapstructure:"server_name"`
	InsecureSkipVerify bool   `mapstructure:"insecure_skip_verify"`
}

type rawBackend struct {
	Name      string   `mapstructure:"name"`
	Backend   string   `mapstructure:"backend"`
	Slots     string   `mapstructure:"slots"`
	Instances []string `mapstructure:"instances"`
	Source    string   `mapstructure:"source"`

	Service          string   `mapstructure:"service"`
	Tags             []string `mapstructure:"tags"`
	Filter           string   `mapstructure:"filter"`
	Health           string   `mapstructure:"health"`
	IgnoreNodeHealth bool     `mapstructure:"ignore_node_health"`

	Record string `mapstructure:"record"`
	Type   string `mapstructure:"type"`
	Port   int    `mapstructure:"port"`

	Endpoints []string `mapstructure:"endpoints"`

	Dynamic        bool   `mapstructure:"dynamic"`
	DynamicOptions string `mapstructure:"dynamic_options"`
	MaxSlots       int    `mapstructure:"max_slots"`

	Leave    string   `mapstructure:"leave"`
	Drain    string   `mapstructure:"drain"`
	Guard    rawGuard `mapstructure:"guard"`
	External string   `mapstructure:"external"`
}

type rawGuard struct {
	EmptyHold   string `mapstructure:"empty_hold"`
	RemovalHold string `mapstructure:"removal_hold"`
	MaxRemoval  string `mapstructure:"max_removal"`
	Window      string `mapstructure:"window"`
}

type rawHTTP struct {
	Listen      string   `mapstructure:"listen"`
	Socket      string   `mapstructure:"socket"`
	SocketMode  string   `mapstructure:"socket_mode"`
	SocketGroup string   `mapstructure:"socket_group"`
	Hosts       []string `mapstructure:"hosts"`
	TokenFile   string   `mapstructure:"token_file"`
}

type rawLog struct {
	Level  string `mapstructure:"level"`
	Format string `mapstructure:"format"`
}

// Where the unix socket of the API is unless the configuration says otherwise.
const defaultAPISocket = "/run/slotsync/slotsync.sock"

// defaults are the values of keys outside lists. Those within lists are given
// where the raw values become typed ones, since a list has no fixed paths.
func defaults(env environment) map[string]any {
	return map[string]any{
		"haproxy.timeout":    "5s",
		"haproxy.poll":       "500ms",
		"haproxy.resync":     "30s",
		"guard.empty_hold":   "5m",
		"guard.removal_hold": "30s",
		"guard.max_removal":  "50%",
		"guard.window":       "5m",
		"http.listen":        "127.0.0.1:9750",
		"http.socket":        defaultAPISocket,
		"http.socket_mode":   "0660",
		"log.level":          "info",
		"log.format":         "text",
		"state_dir":          defaultStateDir(env),
	}
}

func defaultStateDir(env environment) string {
	if dir := env["STATE_DIRECTORY"]; dir != "" {
		return dir
	}
	if dir := env["NOMAD_ALLOC_DIR"]; dir != "" {
		return dir + "/data/slotsync"
	}
	return "/var/lib/slotsync"
}

// later are keys that belong to the format and not to this version of it, with
// [] for every index. Refusing them by name is kinder than "unknown key".
func later() map[string]bool {
	keys := map[string]bool{}
	for prefix, names := range map[string][]string{
		"sources[].": {"namespace", "partition", "poll_interval", "search", "answers", "hold_obsolete", "path"},
		"backends[].": {"node_meta", "address_tag", "port_name", "on_all_unhealthy", "drain_shutdown", "family",
			"allow", "deny", "from", "failover"},
		"guard.":            {"turnover_wait", "min_endpoints"},
		"backends[].guard.": {"turnover_wait", "min_endpoints"},
		"http.":             {"web_config_file"},
	} {
		for _, name := range names {
			keys[prefix+name] = true
		}
	}
	return keys
}

// fields yields the keys of a struct of the schema and the types behind them.
// What a word stands for is no key.
func fields(t reflect.Type) iter.Seq2[string, reflect.Type] {
	return func(yield func(string, reflect.Type) bool) {
		for i := range t.NumField() {
			if t.Field(i).Tag.Get("word") != "" {
				continue
			}
			if !yield(t.Field(i).Tag.Get("mapstructure"), t.Field(i).Type) {
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
