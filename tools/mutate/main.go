// Command mutate breaks the safety rules of slotsync one after the other, and looks whether
// a test or a seed of the simulation notices each time. The rules are in the tables here;
// docs/proof.md says what came of it. The tree itself is never touched: the go command is
// told to read other text in place of one file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// Options of a run.
type options struct {
	sim, tests bool // only the simulation, only the tests
	past       bool // only faults of the past
	seeds      int
	pastSeeds  int
	only       *regexp.Regexp
	parallel   int
	timeout    time.Duration
	write      string
}

// pastSeeds is how many seeds a fault of the past has at least, unless somebody wants it
// otherwise: it hid once already.
const pastSeeds = 1000

func parse(args []string) (options, error) {
	var o options
	var only string
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	flags.BoolVar(&o.sim, "sim", false, "only run the simulation")
	flags.BoolVar(&o.tests, "tests", false, "only run the tests")
	flags.BoolVar(&o.past, "past", false, "only faults that slotsync once had")
	flags.IntVar(&o.seeds, "seeds", 200, "seeds of the simulation for each rule")
	flags.IntVar(&o.pastSeeds, "pastseeds", pastSeeds, "the same for faults of the past")
	flags.StringVar(&only, "only", "", "only rules or files that match this regular expression")
	flags.IntVar(&o.parallel, "j", 1, "rules at a time")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Minute, "of each run of tests; one that takes longer has noticed")
	flags.StringVar(&o.write, "write", "", "write the table into this page")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var err error
	o.only, err = regexp.Compile(only)
	switch {
	case err != nil:
		return o, fmt.Errorf("-only: %w", err)
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected %q", flags.Arg(0))
	case o.sim && o.tests:
		return o, errors.New("-sim and -tests together leave nothing out: give neither")
	case o.write != "" && (only != "" || o.past):
		return o, errors.New("-write needs all rules: it does not go with -only and -past")
	case o.seeds < 1 || o.pastSeeds < 1 || o.parallel < 1:
		return o, errors.New("-seeds and -j must be 1 or more")
	}
	return o, nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	var chosen []mutant
	for _, m := range table() {
		if (!o.past || m.past) && (o.only.MatchString(m.rule) || o.only.MatchString(m.file)) {
			chosen = append(chosen, m)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no rule matches %s", o.only)
	}
	r := runner{root: root, options: o, out: out}
	if r.simulated = !o.tests && hasSimulation(root); !r.simulated && !o.tests {
		fmt.Fprintln(out, "there is no "+simulation+" yet: it is left out")
	}
	for _, m := range chosen { // before anything that takes long
		if _, err := m.apply(root); err != nil {
			return err
		}
	}
	if err := r.unbroken(ctx, chosen); err != nil {
		return err
	}
	results, err := r.all(ctx, chosen)
	if err != nil {
		return err
	}
	if o.write != "" {
		if err := writePage(o.write, render(chosen, results)); err != nil {
			return err
		}
	}
	return verdict(out, chosen, results)
}

// all runs every mutant and says how each ended.
func (r *runner) all(ctx context.Context, chosen []mutant) ([]result, error) {
	results := make([]result, len(chosen))
	turn := make(chan struct{}, r.parallel)
	var wg sync.WaitGroup
	var mu sync.Mutex // guards done and the output
	done := 0
	for i, m := range chosen {
		turn <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-turn }()
			start := time.Now()
			results[i] = r.try(ctx, m)
			mu.Lock()
			defer mu.Unlock()
			done++
			fmt.Fprintf(r.out, "%d/%d %s: %s (%s)\n", done, len(chosen), m.rule, results[i], time.Since(start).Round(100*time.Millisecond))
			if results[i].err != nil {
				fmt.Fprintln(r.out, results[i].said)
			}
		})
	}
	wg.Wait()
	return results, ctx.Err()
}

// verdict says what all of it comes to, as an error if a rule can be broken unnoticed.
func verdict(out io.Writer, chosen []mutant, results []result) error {
	var survived, faulty int
	for i, r := range results {
		switch {
		case r.err != nil:
			faulty++
		case !r.caught():
			survived++
			fmt.Fprintf(out, "nothing notices: %s (%s: %s)\n", chosen[i].rule, chosen[i].file, chosen[i].how)
		}
	}
	fmt.Fprintf(out, "%d rules were broken, %d of them as they once were; %d survived, %d could not be tried\n",
		len(results), count(chosen, func(m mutant) bool { return m.past }), survived, faulty)
	if survived+faulty > 0 {
		return errors.New("not every rule is guarded")
	}
	return nil
}

func count(list []mutant, is func(mutant) bool) (n int) {
	for _, m := range list {
		if is(m) {
			n++
		}
	}
	return n
}
