package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// demoOptions is what `slotsync demo` is asked for.
type demoOptions struct {
	HAProxy string        // the binary; "" to look for one
	Deps    string        // where `make deps` puts things; "" to look upwards
	Keep    bool          // leave everything running at the end
	Linger  time.Duration // how long there is to look at each chapter
	NoColor bool
}

func newDemoCommand() *cobra.Command {
	o := demoOptions{Linger: 1500 * time.Millisecond}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job on real HAProxies, with everything else embedded",
		Long: `Show the main job in about 40 seconds, on this machine alone.

Starts two HAProxies, instances of a service, and a DNS server that knows them,
sends requests through both HAProxies, and plays: scaling up and down, an outage
of discovery, the death and a reload of an HAProxy, a deployment, and more instances
than there are slots. Needs nothing but an HAProxy binary: --haproxy, else the one
that make deps laid out, else the one in PATH. Everything listens on 127.0.0.1 and is gone at the end.

Exit code 1: a request failed that should not have, or something was not seen.`,
		Example: `  slotsync demo
  slotsync demo --haproxy /usr/sbin/haproxy --keep`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			o.Deps, o.NoColor = os.Getenv("SLOTSYNC_DEPS"), os.Getenv("NO_COLOR") != ""
			return runDemo(ctx, o, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&o.HAProxy, "haproxy", "", "the HAProxy binary to use")
	cmd.Flags().BoolVar(&o.Keep, "keep", false, "leave everything running at the end, until Ctrl-C")
	return cmd
}

// errInterrupted ends the demo before its end.
var errInterrupted = errors.New("the demo was interrupted")

// runDemo plays the whole demo and returns when everything is gone again. The
// error says why it failed.
func runDemo(ctx context.Context, o demoOptions, out io.Writer) (err error) {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	binary, err := findHAProxy(o.HAProxy, o.Deps, dir)
	if err != nil {
		return err
	}
	version, err := haproxyVersion(ctx, binary)
	if err != nil {
		return err
	}
	screen := newDemoScreen(out, o.NoColor)
	screen.Say(demoIntroduction(binary, version)...)

	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, func() { cancel(errInterrupted) })()
	world, err := newDemoWorld(inner, binary)
	if err != nil {
		cancel(err)
		return err
	}
	defer func() {
		cancel(errInterrupted)
		err = errors.Join(err, world.Close())
	}()
	world.Run(inner, cancel)
	return playDemo(inner, o, world, screen)
}

func playDemo(ctx context.Context, o demoOptions, world *demoWorld, screen *demoScreen) error {
	story := newDemoStory(world, screen, o.Linger)
	problem := showWhile(ctx, story, func() error { return story.Play(ctx) })
	story.Stop()
	if errors.Is(problem, errInterrupted) {
		return problem
	}
	summary := story.Summary(problem)
	screen.Say(screen.Style.summary(summary)...)
	if summary.verdict() != nil {
		screen.Say("   the last that slotsync logged:", world.LastWords())
	}
	if o.Keep {
		screen.Say(demoAddresses(world)...)
		<-ctx.Done()
	}
	return summary.verdict()
}

// showWhile keeps the screen fresh while play runs.
func showWhile(ctx context.Context, story *demoStory, play func() error) error {
	ctx, stop := context.WithCancel(ctx)
	shown := make(chan struct{})
	go func() { defer close(shown); story.Show(ctx) }()
	err := play()
	stop()
	<-shown
	story.screen.Leave()
	return err
}

func demoIntroduction(binary, version string) []string {
	return []string{
		version,
		binary,
		fmt.Sprintf("Set short for the demo: DNS is asked each %s, and once a second while it says nothing new (usually each 5s to 30s);\nremovals that leave less than half are held for %s (usually 30s).",
			demoRefresh, demoHold),
	}
}

func demoAddresses(w *demoWorld) []string {
	lines := []string{"", "Everything is left running until Ctrl-C:"}
	for _, p := range w.Proxies {
		lines = append(lines, fmt.Sprintf("   %s  http://%s/  Runtime API %s", p.Name, p.Frontend, p.Socket))
	}
	_, port, _ := net.SplitHostPort(w.DNS.Addr())
	return append(lines,
		fmt.Sprintf("   DNS     dig @127.0.0.1 -p %s %s SRV", port, demoRecord),
		fmt.Sprintf("   files   %s (configurations, state files, logs)", w.Dir))
}
