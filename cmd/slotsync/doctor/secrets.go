package doctor

import (
	"os"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web/auth"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
)

// othersRead is the permission of everybody to read a file.
const othersRead = 0o004

// examineSecrets warns of tokens that everybody on the machine can read. Whether they can be read
// at all is said elsewhere.
func examineSecrets(cfg *config.Config) []api.Finding {
	f := findings{subject: "secrets"}
	for _, file := range cfg.SecretFiles() {
		if cfg.PrivateFolder != "" && strings.HasPrefix(file.Path, cfg.PrivateFolder+"/") {
			continue
		}
		if info, err := os.Stat(file.Path); err == nil && info.Mode()&othersRead != 0 {
			f.add(api.VerdictWarn, "%s: %s can be read by everybody on this machine: chmod o= it", file.Key, file.Path)
		}
	}
	f.listener(cfg.HTTP)
	return f.list
}

// listener adds what of the TCP listener lets others do or see more than they need to.
func (f *findings) listener(h config.HTTP) {
	asks, err := auth.ReadConfig(h.WebConfigFile)
	if h.Listen == "" || err != nil {
		return
	}
	local := config.IsLoopback(h.Listen)
	if local && h.Loopback == auth.LoopbackOperate && h.TokenFile+h.ReadTokenFile == "" && !asks.Knows() {
		f.add(api.VerdictWarn, "http.loopback: operate lets every user of this machine, and every program that can be made to ask "+
			"127.0.0.1, drain, stop and pause: set it to read, and use the unix socket or http.token_file")
	}
	if !local && !asks.TLS && (h.TokenFile+h.ReadTokenFile != "" || asks.Users) {
		f.add(api.VerdictWarn, "http.listen %s: tokens and passwords come over the network in clear: set tls_server_config in http.web_config_file, "+
			"or listen on 127.0.0.1 behind something that speaks TLS", h.Listen)
	}
}
