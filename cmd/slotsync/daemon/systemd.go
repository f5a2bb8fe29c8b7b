package daemon

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
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

// tellSystemd says that everything is up, and from then on how it goes. It
// feeds the watchdog for as long as the agent's loop runs.
func (s *service) tellSystemd(ctx context.Context) error {
	if os.Getenv("NOTIFY_SOCKET") == "" { // a status costs something
		return nil
	}
	notify("READY=1\nSTATUS=started")
	pace := statusPace
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn("systemd's watchdog is not fed", "err", err)
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
		if err := s.agent.Healthy(); err != nil {
			notify("STATUS=" + textfmt.OneLine(err.Error()))
			continue
		}
		state := "STATUS=" + summary(s.agent.Status())
		if watchdog > 0 {
			state += "\nWATCHDOG=1"
		}
		notify(state)
	}
}

// summary is a status in one line.
func summary(s api.Status) string {
	inSync, held := 0, 0
	for _, in := range s.Instances {
		if in.Up && in.InSync {
			inSync++
		}
	}
	for _, b := range s.Backends {
		if b.Hold != nil {
			held++
		}
	}
	text := fmt.Sprintf("%d of %d instances in sync, %d backends", inSync, len(s.Instances), len(s.Backends))
	if held > 0 {
		text += fmt.Sprintf(", %d held", held)
	}
	return text
}
