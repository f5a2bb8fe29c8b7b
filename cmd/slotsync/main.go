// Command slotsync keeps the server-template slots of HAProxy filled from
// service discovery.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
)

// version is set by the linker.
var version = "unknown"

func main() {
	// SIGUSR1 is how HAProxy ends the programs from before a reload; it starts them with
	// all signals blocked that nobody asks for.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGUSR1)
	// Once one signal has come, the next one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, config.NewEnvironment(os.Environ())))
}
