package remote

import (
	"os"
	"os/user"
)

// User is who asks, for the history. Under sudo it is who has called that.
func User() string {
	u, err := user.Current()
	if err != nil {
		return "the command line"
	}
	return actor(u.Uid, u.Username, os.Getenv("SUDO_USER"))
}

// actor is the user of a process, or who became root by sudo. To others the variable
// says nothing: they can set it as they like.
func actor(uid, name, sudo string) string {
	if uid == "0" && sudo != "" {
		return sudo
	}
	return name
}
