package haproxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/slots"
)

// ErrNoMap is that HAProxy has loaded no map from a file.
var ErrNoMap = errors.New("HAProxy has loaded no map of that file")

// SyncMap has HAProxy's map of the file at path hold these entries and no others, and reads it back. It is for a map that HAProxy
// loaded when it started, with map(path) somewhere in its configuration ("show map", "set map", "add map" and "del map" of the
// Management Guide, 9.3); there may be several of one file. Keys are "backend/server".
func (c *Client) SyncMap(ctx context.Context, path string, want map[string]string) error {
	for key, value := range want {
		if err := checkEntry(key, value); err != nil {
			return err
		}
	}
	list, err := c.command(ctx, "show map", maxShown)
	if err != nil {
		return err
	}
	ids := mapsOf(list, path)
	if len(ids) == 0 {
		return fmt.Errorf("%s: %w: %s", c.at, ErrNoMap, path)
	}
	for _, id := range ids {
		if err := c.syncMap(ctx, id, want); err != nil {
			return err
		}
	}
	return nil
}

// mapsOf returns how the maps of a file are named in commands, as in "#3". HAProxy lists
// "3 (/etc/names.map) pattern loaded from file …", from 3.0 on perhaps with a prefix "opt@".
func mapsOf(list, path string) (ids []string) {
	for line := range strings.SplitSeq(list, "\n") {
		id, rest, ok := strings.Cut(line, " (")
		name, _, closed := strings.Cut(rest, ")")
		_, bare, prefixed := strings.Cut(name, "@")
		if ok && closed && (name == path || prefixed && bare == path) && strings.Trim(id, "0123456789") == "" {
			ids = append(ids, "#"+id)
		}
	}
	return ids
}

func (c *Client) syncMap(ctx context.Context, id string, want map[string]string) error {
	have, err := c.readMap(ctx, id)
	if err != nil {
		return err
	}
	commands := mapCommands(id, have, want)
	if len(commands) == 0 {
		return nil
	}
	for _, line := range packCommands(commands, c.lineLimit()) {
		if _, err := c.command(ctx, line, maxShown); err != nil {
			return err
		}
	}
	if have, err = c.readMap(ctx, id); err != nil {
		return err
	}
	if left := mapCommands(id, have, want); len(left) > 0 {
		return fmt.Errorf("%s: %d entries of map %s are not as they were set, as after %q", c.at, len(left), id, left[0])
	}
	return nil
}

// readMap returns the entries of a map, "0x55d key value" each.
func (c *Client) readMap(ctx context.Context, id string) (map[string]string, error) {
	text, err := c.command(ctx, "show map "+id, maxShown)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		words := strings.Fields(line)
		if len(words) < 2 || !strings.HasPrefix(words[0], "0x") {
			return nil, &slots.InstanceError{Fault: slots.Garbled, Err: fmt.Errorf("%s: show map %s: %q", c.at, id, printable(line))}
		}
		out[words[1]] = strings.Join(words[2:], " ")
	}
	return out, nil
}

// mapCommands are what makes have to want.
func mapCommands(id string, have, want map[string]string) (commands []string) {
	for _, key := range slices.Sorted(maps.Keys(have)) {
		if _, ok := want[key]; !ok && checkKey(key) == nil {
			commands = append(commands, "del map "+id+" "+key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		switch was, ok := have[key]; {
		case !ok:
			commands = append(commands, "add map "+id+" "+key+" "+want[key])
		case was != want[key]:
			commands = append(commands, "set map "+id+" "+key+" "+want[key])
		}
	}
	return commands
}

func packCommands(commands []string, limit int) (lines []string) {
	for _, command := range commands {
		if n := len(lines) - 1; n >= 0 && len(lines[n])+1+len(command) <= limit {
			lines[n] += ";" + command
			continue
		}
		lines = append(lines, command)
	}
	return lines
}

// checkEntry returns an error unless an entry is one for HAProxy's command line and for its file.
func checkEntry(key, value string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	return slots.CheckName(strings.NewReplacer("[", "", "]", "").Replace(value)) // an IPv6 address has brackets
}

// checkKey returns an error unless key is "backend/server".
func checkKey(key string) error {
	backend, server, _ := strings.Cut(key, "/")
	return errors.Join(slots.CheckName(backend), slots.CheckName(server))
}
