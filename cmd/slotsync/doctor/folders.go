package doctor

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web/auth"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/securedir"
)

// examineFolders says in which folders others can change what slotsync reads and writes. They may
// be the agent's, whoever asks.
func examineFolders(cfg *config.Config) []api.Finding {
	f := findings{subject: "folders"}
	policy := cfg.FolderPolicy
	policy.Owner = cfg.Owner()
	if cfg.File != "" {
		if err := config.CheckOwner(cfg.File); err != nil {
			f.add(api.VerdictWarn, "the configuration %s %v: who can change it decides what runs as the agent: chown and chmod it", cfg.File, err)
		}
		f.suspect("the configuration", config.Folder{Path: cfg.File, File: true}, cfg.FolderPolicy)
	}
	for _, one := range cfg.Folders() {
		if err := one.CheckSafe(policy); err != nil {
			f.add(api.VerdictFail, "%v", err)
		} else if everybodys(one.Path) {
			f.add(api.VerdictWarn, "%s: every task of the allocation (or container of the pod) can write to %s", one.Key, one.Path)
		}
	}
	for _, r := range cfg.Reloads {
		if r.Template != "" {
			f.suspect("reload.template", config.Folder{Path: r.Template, File: true}, policy)
		}
	}
	for _, in := range cfg.Instances {
		if filepath.IsAbs(in.Real) && everybodys(filepath.Dir(in.Real)) {
			f.add(api.VerdictWarn, "the socket of %s: everybody can write to %s, and take HAProxy's place while it is down: have HAProxy make it in a folder of its own",
				in.Name, filepath.Dir(in.Real))
		}
	}
	return f.list
}

// suspect warns of what is only read.
func (f *findings) suspect(key string, one config.Folder, p securedir.Policy) {
	one.Key = key
	if err := one.CheckSafe(p); err != nil {
		f.add(api.VerdictWarn, "%v", err)
	}
}

// everybodys reports whether everybody can write to a folder.
func everybodys(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir() && info.Mode()&(0o002|fs.ModeSticky) == 0o002
}

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
