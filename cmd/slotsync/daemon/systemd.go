package daemon

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/securedir"
)

// notify tells systemd, if it started us, how we are (sd_notify(3)).
func notify(state string) {
	_, _ = daemon.SdNotify(false, state) // nobody to tell is not an error
}

// reloading is the state of a Type=notify-reload service that reads its
// configuration.
func reloading() string {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return "RELOADING=1"
	}
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000)
}

// statusPace is how often systemd is told how the instances are.
const statusPace = 10 * time.Second

// tellSystemd says that everything is up, and from then on how it goes. The watchdog is fed
// with what the agent's loop answers: one that hangs feeds it no more.
func (s *service) tellSystemd(ctx context.Context) error {
	if os.Getenv("NOTIFY_SOCKET") == "" { // a status costs something
		return nil
	}
	notify("READY=1\nSTATUS=started")
	pace := statusPace
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn("WATCHDOG_USEC cannot be read: systemd will restart slotsync, as its watchdog gets no sign", "err", err)
	}
	if watchdog > 0 {
		pace = min(pace, watchdog/3)
	}
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		notify(sign(s.agent.Healthy(), s.status, watchdog > 0))
	}
}

// sign is what systemd is told of how it goes. Only a loop that answers feeds the watchdog.
func sign(healthy error, status func() api.Status, watchdog bool) string {
	if healthy != nil {
		return "STATUS=" + textfmt.OneLine(healthy.Error())
	}
	now := status()
	state := "STATUS=" + summarize(now)
	if watchdog && now.Unanswered == "" {
		state += "\nWATCHDOG=1"
	}
	return state
}

// socketNote is the file of $RUNTIME_DIRECTORY that has the path of the agent's own socket: a
// configuration that was changed since may say another one.
const socketNote = "agent"

// noteSocket has systemctl reload find the agent. Without the file it goes by the configuration.
func noteSocket(path string, folders securedir.Policy) {
	dir, err := folders.Open(os.Getenv("RUNTIME_DIRECTORY"))
	if err != nil {
		return // systemd has not started this, or not with one folder
	}
	defer dir.Close()
	if path == "" {
		_ = dir.Remove(socketNote)
		return
	}
	_ = dir.Replace(socketNote, []byte(path), securedir.Private(), nil)
}

// NotedSocket returns the socket of the agent for which systemd runs this command (ExecReload=);
// "" if that is not known.
func NotedSocket(env config.Environment, folders securedir.Policy) string {
	if env["MAINPID"] == "" {
		return ""
	}
	dir, err := folders.Open(env["RUNTIME_DIRECTORY"])
	if err != nil {
		return ""
	}
	defer dir.Close()
	path, _, err := dir.ReadOwn(socketNote, unix.PathMax)
	if err != nil {
		return ""
	}
	return string(path)
}

func (s *service) status() api.Status { return described{s.agent, s}.Status() }

// summarize puts a status into one line, what is wrong first.
func summarize(s api.Status) string {
	var wrong, odd []string
	inSync := 0
	for _, in := range s.Instances {
		switch {
		case !in.Up:
			wrong = append(wrong, in.Name+" does not answer")
		case !in.InSync:
			wrong = append(wrong, in.Name+" is not in sync")
		default:
			inSync++
		}
	}
	for _, b := range s.Backends {
		switch {
		case b.Hold != nil:
			odd = append(odd, b.Name+" held ("+b.Hold.Kind+")")
		case b.Paused != nil:
			odd = append(odd, b.Name+" paused")
		case b.Problem != "":
			odd = append(odd, b.Name+": "+b.Problem)
		case len(b.Overflow) > 0:
			odd = append(odd, fmt.Sprintf("%s has no slot for %s", b.Name, textfmt.Count(len(b.Overflow), "endpoint")))
		}
	}
	words := fmt.Sprintf("%d of %s in sync, %s", inSync, textfmt.Count(len(s.Instances), "instance"), textfmt.Count(len(s.Backends), "backend"))
	if list := append(wrong, odd...); len(list) > 0 {
		words += ": " + textfmt.List(list, 5)
	}
	words = cmp.Or(s.Unanswered, words)
	if s.ConfigRefused != "" {
		words = "the configuration that was read last is refused, the one before it is in force (" + s.ConfigRefused + "); " + words
	}
	return textfmt.OneLine(words)
}
