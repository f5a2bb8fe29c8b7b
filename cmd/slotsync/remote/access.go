package remote

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/discovery/longpoll"
	"github.com/slotsync/slotsync/securedir"
)

// maxPassword bounds the file of a password, in bytes.
const maxPassword = 4096

// An Access is what a user says of how commands and the agent know each other. What is
// empty is read from the environment, then from the configuration.
type Access struct {
	TokenFile, User, PasswordFile string
	CAFile, CertFile, KeyFile     string
}

// orFrom is x with what the environment says where x says nothing: of who asks, of the
// certificate, and of the authorities, each as a whole.
func (x Access) orFrom(env config.Environment) Access {
	if x.TokenFile == "" && x.User == "" && x.PasswordFile == "" {
		x.TokenFile, x.User, x.PasswordFile = env["SLOTSYNC_TOKEN_FILE"], env["SLOTSYNC_USER"], env["SLOTSYNC_PASSWORD_FILE"]
	}
	if x.CertFile == "" && x.KeyFile == "" {
		x.CertFile, x.KeyFile = env["SLOTSYNC_CERT_FILE"], env["SLOTSYNC_KEY_FILE"]
	}
	x.CAFile = cmp.Or(x.CAFile, env["SLOTSYNC_CA_FILE"])
	return x
}

// check refuses halves, and what would not be used at addr. A variable may be there for
// other agents.
func (x Access) check(addr string, env config.Environment) error {
	asked := x.orFrom(env)
	switch {
	case (asked.User == "") != (asked.PasswordFile == ""):
		return config.Usagef("--user and --password-file belong together")
	case asked.User != "" && asked.TokenFile != "":
		return config.Usagef("--token-file and --user both say who asks: name one of them")
	case strings.ContainsFunc(asked.User, func(r rune) bool { return r == ':' || r < ' ' || r == 0x7f }):
		return config.Usagef("the user has a colon, or what cannot be printed: the password is in --password-file")
	case (asked.CertFile == "") != (asked.KeyFile == ""):
		return config.Usagef("--cert-file and --key-file belong together")
	case x.CAFile+x.CertFile != "" && !strings.HasPrefix(addr, "https://"):
		return config.Usagef("--ca-file and --cert-file are for an agent at https://, and this one is not")
	}
	return nil
}

// of is the access to an agent at addr. tokenFile is the one of the configuration, which
// counts where nothing else says who asks.
func (x Access) of(addr, tokenFile string, env config.Environment) (by client.Access, err error) {
	if err := x.check(addr, env); err != nil {
		return by, err
	}
	x = x.orFrom(env)
	by.TLS = longpoll.TLS{CAFile: x.CAFile, CertFile: x.CertFile, KeyFile: x.KeyFile}
	if x.User != "" {
		by.User, by.KnownTo = x.User, readers(x.PasswordFile)
		by.Password, err = readPassword(x.PasswordFile)
	} else {
		by.KnownTo = readers(cmp.Or(x.TokenFile, tokenFile))
		by.Token, err = readToken(x.TokenFile, tokenFile)
	}
	if err != nil {
		err = &config.UsageError{Err: err}
	}
	return by, err
}

// readers reports whether a user can read the file at path as its owner, or by its group.
func readers(path string) func(uid int) bool {
	return func(uid int) bool {
		info, err := os.Stat(path)
		if err != nil {
			return false
		}
		of, ok := info.Sys().(*syscall.Stat_t)
		if !ok || uid == int(of.Uid) {
			return ok
		}
		u, err := user.LookupId(strconv.Itoa(uid))
		if err != nil || info.Mode().Perm()&0o040 == 0 {
			return false
		}
		groups, err := u.GroupIds()
		return err == nil && slices.Contains(groups, strconv.Itoa(int(of.Gid)))
	}
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
	text, err := securedir.ReadFile(path, maxPassword, 0)
	if err != nil {
		return "", err
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" || strings.ContainsAny(password, "\r\n") {
		return "", fmt.Errorf("%s does not hold a password in a line", path)
	}
	return password, nil
}
