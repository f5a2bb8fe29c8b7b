package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/config"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

func TestPlanVerdict(t *testing.T) {
	change := []api.PlannedChange{{Slot: "web1"}}
	for _, tt := range []struct {
		name string
		plan api.Plan
		want int
	}{
		{"in sync", api.Plan{Instances: []api.InstancePlan{{}}}, exitFine},
		{"pending", api.Plan{Instances: []api.InstancePlan{{}, {Changes: change}}}, exitDiffers},
		{"error beside changes", api.Plan{Instances: []api.InstancePlan{{Changes: change}, {Error: "down"}}}, exitFailed},
		{"problem", api.Plan{Instances: []api.InstancePlan{{Changes: change}}, Problems: []string{"source"}}, exitFailed},
	} {
		if got := exitCode(planVerdict(tt.plan)); got != tt.want {
			t.Errorf("%s: %d, not %d", tt.name, got, tt.want)
		}
	}
}

func TestEveryCommandHasAnExample(t *testing.T) {
	list := newRootCommand(&app{}).Commands()
	for i := 0; i < len(list); i++ { // those within a command are appended
		c := list[i]
		list = append(list, c.Commands()...)
		if c.Example == "" || c.Short == "" {
			t.Errorf("%s has no example or no description", c.CommandPath())
		}
		var out, errs bytes.Buffer
		if code := run(t.Context(), append(strings.Fields(c.CommandPath())[1:], "--help"), &out, &errs, config.Environment{}); code != 0 || !strings.Contains(out.String(), "Examples:") {
			t.Errorf("%s --help: exit %d, %s%s", c.CommandPath(), code, out.String(), errs.String())
		}
	}
}

func TestReportIsOneLine(t *testing.T) {
	var b bytes.Buffer
	report(&b, usageErrorf("a\nb\x1b[2J"))
	if got := b.String(); got != "slotsync: a; b.[2J\n" {
		t.Errorf("%q", got)
	}
}

func TestTerminalObeysNoFile(t *testing.T) {
	const text = "backend web\n\tserver ä 10.0.0.1:80 # \x1b]0;x\x07\r\u0085\u202e\xff\n"
	if got := textfmt.Printable(text); got != "backend web\n\tserver ä 10.0.0.1:80 # .]0;x....\ufffd\n" {
		t.Errorf("%q", got)
	}
	var b bytes.Buffer
	if err := (&app{stdout: &b}).printFile(text); err != nil || b.String() != text {
		t.Errorf("what is no terminal gets %q, %v", b.String(), err)
	}
}

// TestDoctorCutShort wants no finding about what was not waited for.
func TestDoctorCutShort(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	args := []string{"doctor", "--socket", t.TempDir() + "/none.sock", "--backend", "web", "--dns", "web.example.org:80"}
	if code := run(ctx, args, &out, &errs, config.Environment{}); code != exitFailed || errs.String() != "slotsync: interrupted\n" || out.Len() > 0 {
		t.Errorf("exit %d, %q on standard error and %q on standard output", code, errs.String(), out.String())
	}
}
