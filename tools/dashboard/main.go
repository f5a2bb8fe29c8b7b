// Command dashboard reads a dashboard as Grafana's own types have it: a field that they do not know, one that is missing and one of another
// type is an error. A test runs it; it is a module of its own, since nothing else needs these types. It knows the panels that ours has.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

func main() {
	known := cog.NewRuntime()
	known.RegisterPanelcfgVariant(stat.VariantConfig())
	known.RegisterPanelcfgVariant(timeseries.VariantConfig())
	text, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = check(text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// check returns the faults; the types return a list of none where there is none.
func check(text []byte) error {
	err := new(dashboard.Dashboard).UnmarshalJSONStrict(text)
	if faults := (cog.BuildErrors)(nil); errors.As(err, &faults) && len(faults) == 0 {
		return nil
	}
	return err
}
