// Package demo plays the main job on real HAProxies, with everything else embedded: the
// instances of a service, a DNS server, traffic and the agent.
package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// Options is what `slotsync demo` is asked for.
type Options struct {
	HAProxy string        // the binary; "" to look for one
	Deps    string        // where `make deps` puts things; "" to look upwards
	Keep    bool          // leave everything running at the end
	Linger  time.Duration // how long there is to look at each chapter; 0: 1.5 s
	NoColor bool
	Version string // of slotsync
	// Film gets a moving picture of what is shown, an SVG; nil: none is made.
	Film io.Writer
}

// errInterrupted ends the demo before its end.
var errInterrupted = errors.New("the demo was interrupted")

// Run plays the whole demo and returns when everything is gone again. The
// error says why it failed.
func Run(ctx context.Context, o Options, out io.Writer) (err error) {
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
	screen := newScreen(out, o.NoColor)
	screen.Say(introduction(binary, version)...)

	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, func() { cancel(errInterrupted) })()
	world, err := newWorld(inner, binary, o.Version)
	if err != nil {
		cancel(err)
		return err
	}
	defer func() {
		cancel(errInterrupted)
		err = errors.Join(err, world.Close())
	}()
	world.Run(inner, cancel)
	if o.Film != nil {
		screen.Record()
	}
	return play(inner, o, world, screen)
}

func play(ctx context.Context, o Options, world *world, screen *screen) error {
	story := newStory(world, screen, cmp.Or(o.Linger, 1500*time.Millisecond))
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
	if o.Film != nil {
		if _, err := o.Film.Write(screen.film.svg(time.Now())); err != nil {
			return err
		}
	}
	if o.Keep {
		screen.Say(addresses(world)...)
		<-ctx.Done()
	}
	return summary.verdict()
}

// showWhile keeps the screen fresh while play runs.
func showWhile(ctx context.Context, story *story, play func() error) error {
	ctx, stop := context.WithCancel(ctx)
	shown := make(chan struct{})
	go func() { defer close(shown); story.Show(ctx) }()
	err := play()
	stop()
	<-shown
	story.screen.Leave()
	return err
}

func introduction(binary, version string) []string {
	return []string{
		version,
		binary,
		fmt.Sprintf("Set short for the demo: DNS is asked each %s, and once a second while it says nothing new (usually each 5s to 30s);\nremovals that leave less than half are held for %s (usually 30s).",
			refresh, hold),
	}
}

func addresses(w *world) []string {
	lines := []string{"", "Everything is left running until Ctrl-C:"}
	for _, p := range w.Proxies {
		lines = append(lines, fmt.Sprintf("   %s  http://%s/  Runtime API %s", p.Name, p.Frontend, p.Socket))
	}
	_, port, _ := net.SplitHostPort(w.DNS.addr)
	return append(lines,
		fmt.Sprintf("   DNS     dig @127.0.0.1 -p %s %s SRV", port, record),
		fmt.Sprintf("   files   %s (configurations, state files, logs)", w.Dir))
}
