package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/client"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
	"github.com/slotsync/slotsync/slots"
)

// drainPace is how often sessions are counted while a drain is waited for.
const drainPace = time.Second

// errGivenUp: somebody ended the drain that is waited for.
var errGivenUp = errors.New("it takes new sessions again: somebody has ended the drain")

// AwaitDrained returns when no instance has a session left of any of the servers, which are
// being drained. It gives progress what is left whenever that changes. An instance that does
// not answer is waited for. When ctx is done, the error says what is left.
func AwaitDrained(ctx context.Context, c *client.Client, servers []api.ServerRef, progress func(left string)) error {
	last, drained := "nobody has answered yet", map[api.ServerRef]bool{}
	for {
		left, err := sessionsLeft(ctx, c, servers, drained)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("%w: %s", ctx.Err(), last)
		case err != nil:
			return err
		case left == "":
			return nil
		case left != last:
			last = left
			progress(left)
		}
		pause(ctx, drainPace)
	}
}

// sessionsLeft says where the servers have sessions, or who does not say; "" if there are
// none. drained are those that were seen drained before. It fails if the agent answers, and
// refuses.
func sessionsLeft(ctx context.Context, c *client.Client, servers []api.ServerRef, drained map[api.ServerRef]bool) (string, error) {
	status, err := c.Status(ctx)
	if errors.Is(err, client.ErrDenied) {
		return "", err
	}
	if err != nil {
		return "the agent does not answer: " + textfmt.OneLine(err.Error()), nil
	}
	if len(status.Instances) == 0 { // it starts: that it has no slots yet says nothing
		return "the agent does not answer: " + textfmt.List(status.NotReady, 1), nil
	}
	counts := each(ctx, instanceNames(status), func(ctx context.Context, name string) (slots.Dump, error) { return c.Dump(ctx, name, slots.DumpStat) })
	sessions := map[string]map[string]string{} // by instance, and by backend and slot of HAProxy's
	for _, answer := range counts {
		if answer.Error != "" {
			continue
		}
		of := map[string]string{}
		for _, row := range answer.Value.Rows {
			of[row["pxname"]+"/"+row["svname"]] = row["scur"]
		}
		sessions[answer.Instance] = of
	}
	var left []string
	for _, server := range servers {
		proxy, slot := slotOf(status, server)
		if slot == nil {
			continue // no slot has it any more
		}
		if slot.State == slots.Ready.String() && drained[server] {
			return "", fmt.Errorf("%s/%s: %w", textfmt.Clip(server.Backend), textfmt.Clip(server.Endpoint), errGivenUp)
		}
		drained[server] = drained[server] || slot.State != slots.Ready.String()
		if at := leftOf(status, server.Backend, proxy, slot, sessions); len(at) > 0 {
			left = append(left, textfmt.Clip(server.Backend)+"/"+textfmt.Clip(server.Endpoint)+": "+textfmt.List(at, 20))
		}
	}
	return strings.Join(left, "; "), nil
}

// slotOf finds the slot that holds a server, and what HAProxy calls its backend; nil for none.
func slotOf(status api.Status, server api.ServerRef) (proxy string, slot *api.SlotStatus) {
	for _, b := range status.Backends {
		if b.Name != server.Backend {
			continue
		}
		for i := range b.Slots {
			if b.Slots[i].Endpoint == server.Endpoint {
				return b.Backend, &b.Slots[i]
			}
		}
	}
	return "", nil
}

// leftOf says for each instance what keeps a slot from being empty there: sessions, that it is
// not drained yet, or that nobody knows.
func leftOf(status api.Status, backend, proxy string, slot *api.SlotStatus, sessions map[string]map[string]string) (left []string) {
	shown := map[string]*api.InstanceSlot{}
	for i := range slot.Instances {
		shown[slot.Instances[i].Instance] = &slot.Instances[i]
	}
	for _, in := range status.Instances {
		at, of := shown[in.Name], sessions[in.Name]
		switch {
		case at == nil && !status.MayServe(in.Name, backend):
		case of == nil || !in.Up && at != nil:
			left = append(left, in.Name+" does not answer")
		case at == nil || at.Lacking || at.Address != slot.Endpoint:
		case at.State == slots.Ready:
			left = append(left, in.Name+" is not drained yet")
		default:
			text := of[proxy+"/"+cmp.Or(at.Name, slot.Name)]
			if n, err := strconv.Atoi(text); err != nil {
				left = append(left, in.Name+" does not show its sessions")
			} else if n > 0 {
				left = append(left, in.Name+" "+textfmt.Count(n, "session"))
			}
		}
	}
	return left
}
