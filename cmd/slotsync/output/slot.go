package output

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// instancesOf names the instances where the slot is not what the table says, those with
// the same to be said together.
func instancesOf(slot api.SlotStatus, silent []string) string {
	var names [][]string
	var words []string
	for _, in := range slot.Instances {
		said := deviation(slot, in)
		if slices.Contains(silent, in.Instance) {
			said = "no answer"
		}
		if said == "" {
			continue
		}
		i := slices.Index(words, said)
		if i < 0 {
			i = len(words)
			names, words = append(names, nil), append(words, said)
		}
		names[i] = append(names[i], in.Instance)
	}
	for i, said := range words {
		words[i] = textfmt.List(names[i], 3) + ": " + said
	}
	return dash(strings.Join(words, "; "))
}

// heldState is the state that the table wants, and that an operator wants it so, or that
// the endpoint is kept.
func heldState(b api.BackendStatus, slot api.SlotStatus) string {
	var why []string
	if slices.ContainsFunc(slot.Instances, func(in api.InstanceSlot) bool { return in.HeldBy == "operator" }) {
		why = append(why, "operator")
	}
	if b.KeptOf(slot.Endpoint) != nil {
		why = append(why, api.Kept)
	}
	if len(why) == 0 {
		return slot.State
	}
	return slot.State + " (" + strings.Join(why, ", ") + ")"
}

// deviation says how the slot is otherwise at an instance than the table says, "" if it is
// not. That an operator holds it stands elsewhere.
func deviation(slot api.SlotStatus, in api.InstanceSlot) string {
	switch {
	case in.Lacking:
		return "lacks it"
	case in.HeldBy == "external":
		return "somebody set it to " + in.State.String()
	case in.HeldBy != "" && in.HeldBy != "operator":
		return in.State.String() + " (" + in.HeldBy + ")"
	case in.LastReply != "":
		return discovery.Printable(in.LastReply, 80)
	case slot.Endpoint != "" && in.Address != "" && in.Address != slot.Endpoint:
		return in.Address
	case !isAsWanted(slot.State, in.State):
		return "still " + in.State.String()
	case in.Check == "down":
		return "check down"
	}
	return ""
}

// isAsWanted reports whether HAProxy shows the state that is wanted of a slot.
func isAsWanted(want string, have slots.Class) bool {
	switch want {
	case discovery.Ready.String():
		return have == slots.Ready
	case discovery.Drain.String():
		return have == slots.Drain
	case discovery.Down.String():
		return have == slots.Maint
	}
	return true // a state that nothing is written for
}

// WriteDone says what was done to a server.
func WriteDone(w io.Writer, ref api.ServerRef, what string) error {
	slot := ""
	if ref.Slot != "" {
		slot = " (slot " + textfmt.Clip(ref.Slot) + ")"
	}
	_, err := fmt.Fprintf(w, "%s/%s%s: %s\n", textfmt.Clip(ref.Backend), textfmt.Clip(ref.Endpoint), slot, what)
	return err
}

// WriteServers prints rows, with the instances where a server is otherwise than it is
// asked to be, and those that are silent.
func WriteServers(w io.Writer, rows []api.ServerRow, silent []string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "BACKEND\tENDPOINT\tSLOT\tSTATE\tNAME\tINSTANCES\tASKED FOR")
	for _, r := range rows {
		at := instancesOf(api.SlotStatus{Endpoint: r.Endpoint, State: r.State, Instances: r.Instances}, silent)
		tableLine(table, r.Backend, r.Endpoint, dash(r.Slot), r.State, dash(r.Name), at, dash(r.Override))
	}
	return table.Flush()
}
