package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/discovery/longpoll"
)

// maxPassword bounds the file of a password, in bytes.
const maxPassword = 4096

// An access is what commands are told of how they and the agent know each other.
type access struct {
	tokenFile, user, passwordFile string
	caFile, certFile, keyFile     string
}

func (x *access) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&x.tokenFile, "token-file", "", "file with the agent's bearer token (SLOTSYNC_TOKEN_FILE)")
	f.StringVar(&x.user, "user", "", "user of the agent's web_config_file (SLOTSYNC_USER)")
	f.StringVar(&x.passwordFile, "password-file", "", "file with that user's password (SLOTSYNC_PASSWORD_FILE)")
	f.StringVar(&x.caFile, "ca-file", "", "authorities that may sign the certificate of an https:// agent (SLOTSYNC_CA_FILE; default: the system's)")
	f.StringVar(&x.certFile, "cert-file", "", "client certificate for an https:// agent (SLOTSYNC_CERT_FILE)")
	f.StringVar(&x.keyFile, "key-file", "", "key of that certificate (SLOTSYNC_KEY_FILE)")
}

// orFrom is x with what the environment says where x says nothing: of who asks, of the
// certificate, and of the authorities, each as a whole.
func (x access) orFrom(env config.Environment) access {
	if x.tokenFile == "" && x.user == "" && x.passwordFile == "" {
		x.tokenFile, x.user, x.passwordFile = env["SLOTSYNC_TOKEN_FILE"], env["SLOTSYNC_USER"], env["SLOTSYNC_PASSWORD_FILE"]
	}
	if x.certFile == "" && x.keyFile == "" {
		x.certFile, x.keyFile = env["SLOTSYNC_CERT_FILE"], env["SLOTSYNC_KEY_FILE"]
	}
	x.caFile = cmp.Or(x.caFile, env["SLOTSYNC_CA_FILE"])
	return x
}

// check refuses halves, and what would not be used at addr. A variable may be there for
// other agents.
func (x access) check(addr string, env config.Environment) error {
	asked := x.orFrom(env)
	switch {
	case (asked.user == "") != (asked.passwordFile == ""):
		return usageErrorf("--user and --password-file belong together")
	case asked.user != "" && asked.tokenFile != "":
		return usageErrorf("--token-file and --user both say who asks: name one of them")
	case strings.ContainsFunc(asked.user, func(r rune) bool { return r == ':' || r < ' ' || r == 0x7f }):
		return usageErrorf("the user has a colon, or what cannot be printed: the password is in --password-file")
	case (asked.certFile == "") != (asked.keyFile == ""):
		return usageErrorf("--cert-file and --key-file belong together")
	case x.caFile+x.certFile != "" && !strings.HasPrefix(addr, "https://"):
		return usageErrorf("--ca-file and --cert-file are for an agent at https://, and this one is not")
	}
	return nil
}

// of is the access to an agent at addr. tokenFile is the one of the configuration, which
// counts where nothing else says who asks.
func (x access) of(addr, tokenFile string, env config.Environment) (by client.Access, err error) {
	if err := x.check(addr, env); err != nil {
		return by, err
	}
	x = x.orFrom(env)
	by.TLS = longpoll.TLS{CAFile: x.caFile, CertFile: x.certFile, KeyFile: x.keyFile}
	if x.user != "" {
		by.User = x.user
		by.Password, err = readPassword(x.passwordFile)
	} else {
		by.Token, err = readToken(x.tokenFile, tokenFile)
	}
	if err != nil {
		err = &exitError{code: exitUsage, err: err}
	}
	return by, err
}

// readToken returns the token in the file that was named, else of the configured one.
func readToken(named, configured string) (func() string, error) {
	path := cmp.Or(named, configured)
	if path == "" {
		return nil, nil
	}
	f, err := longpoll.NewTokenFile(path)
	// Over the unix socket nobody needs the token, and few may read it.
	if named == "" && errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return f.Token, nil
}

// readPassword returns the only line of a file. Errors do not quote it.
func readPassword(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	// Opening a pipe would block until somebody writes to it.
	if !info.Mode().IsRegular() || info.Size() > maxPassword {
		return "", fmt.Errorf("%s does not hold a password", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" || strings.ContainsAny(password, "\r\n") {
		return "", fmt.Errorf("%s does not hold a password in a line", path)
	}
	return password, nil
}
