package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// The contestants. The raw steps of a burst are those of the safe script.
const (
	slotsyncRuns = iota
	bareRuns
	safeRuns
)

var contestants = [...]string{"slotsync", "bare script", "safe script"}

// A benchRow is one discipline.
type benchRow struct {
	what   string
	rounds int
	times  [len(contestants)][]time.Duration
	lost   [len(contestants)]int // rounds in which it never came to that
}

type benchTable []benchRow

func (r *benchRow) add(who int, d time.Duration) { r.times[who] = append(r.times[who], d) }

// addIf adds d, or counts a round that was lost.
func (r *benchRow) addIf(who int, d time.Duration, done bool) {
	if !done {
		r.lost[who]++
		return
	}
	r.add(who, d)
}

// of returns the time within which a share of a contestant's rounds ended; 0 if
// it took no part.
func (r *benchRow) of(who int, share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(r.times[who]))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

// ratio compares slotsync with another contestant; 0 if that took no part.
func (r *benchRow) ratio(who int, share float64) float64 {
	if r.of(who, share) == 0 {
		return 0
	}
	return float64(r.of(slotsyncRuns, share)) / float64(r.of(who, share))
}

var benchShares = [...]struct {
	name  string
	share float64
}{{"median", 0.5}, {"p95", 0.95}}

// print writes t for people.
func (t benchTable) print(w io.Writer, title string) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, r := range t {
		fmt.Fprintf(table, "\n%s: %s, %d rounds\n", title, r.what, r.rounds)
		fmt.Fprintln(table, "\tmedian ms\tp95 ms\tslotsync is x (median)\tx (p95)\t")
		for who, name := range contestants {
			if len(r.times[who]) > 0 {
				fmt.Fprintf(table, "%s\t%.3f\t%.3f\t%.2f\t%.2f\t\n", name, benchMs(r.of(who, 0.5)), benchMs(r.of(who, 0.95)),
					r.ratio(who, 0.5), r.ratio(who, 0.95))
			}
			if r.lost[who] > 0 {
				fmt.Fprintf(table, "%s\t%d lost\t\t\t\t\n", name, r.lost[who])
			}
		}
	}
	_ = table.Flush() // to a terminal
	fmt.Fprintln(w)
}

// metrics reports t for tools.
func (t benchTable) metrics(b *testing.B) {
	b.ReportMetric(0, "ns/op") // of everything together, which says nothing
	for _, r := range t {
		first, _, _ := strings.Cut(r.what, " ")
		for _, s := range benchShares {
			b.ReportMetric(benchMs(r.of(slotsyncRuns, s.share)), first+"-"+s.name+"-ms")
			for _, who := range []int{bareRuns, safeRuns} {
				if x := r.ratio(who, s.share); x > 0 {
					b.ReportMetric(x, first+"-"+s.name+"-x-"+strings.Fields(contestants[who])[0])
				}
			}
		}
	}
}

func benchMs(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
