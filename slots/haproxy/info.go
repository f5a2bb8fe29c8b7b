package haproxy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// parseInfo understands the answer to "show info" (Management Guide, 9.3).
// Started is 0 before HAProxy 2.4, which does not say.
func parseInfo(text string) (slots.Process, error) {
	if !strings.HasPrefix(text, "Name: ") {
		return slots.Process{}, fmt.Errorf("show info: %q is no answer of HAProxy's", printable(text))
	}
	var p slots.Process
	for line := range strings.SplitSeq(text, "\n") {
		key, value, _ := strings.Cut(line, ": ")
		var err error
		switch key {
		case "Version":
			p.Version = discovery.Printable(value, 64)
		case "Pid":
			p.Pid, err = strconv.Atoi(value)
		case "Start_time_sec":
			p.Started, err = strconv.ParseInt(value, 10, 64)
		case "Stopping":
			p.Stopping = value != "0"
		case "node":
			p.Node = discovery.Printable(value, 256)
		}
		if err != nil {
			return slots.Process{}, fmt.Errorf("show info: %s: %q is no number", key, printable(value))
		}
	}
	if p.Version == "" || p.Pid <= 0 {
		return slots.Process{}, errors.New("show info: no version or no pid")
	}
	return p, nil
}

// queues reports whether version applies a new address some time after it was
// answered, which HAProxy does from 2.9 on.
func queues(version string) bool { return since(version, 2, 9) }

// endsOnAdd reports whether version may end with SIGFPE when a server is added to a
// backend that is disabled in the configuration, as 3.4.7 does.
func endsOnAdd(version string) bool { return since(version, 3, 3) }

// since reports whether version is of the branch major.minor or a later one. What
// cannot be understood counts as new.
func since(version string, wantMajor, wantMinor int) bool {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	ma, err1 := strconv.Atoi(major)
	minor, _, _ = strings.Cut(minor, "-") // as in 2.9-dev12
	mi, err2 := strconv.Atoi(minor)
	return err1 != nil || err2 != nil || ma > wantMajor || ma == wantMajor && mi >= wantMinor
}
