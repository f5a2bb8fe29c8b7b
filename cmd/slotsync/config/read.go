package config

import (
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/guard"
	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// read returns a text of the file, the environment or a tag as a value of the type t, or
// says what is wrong with it. The value is nil where an empty text stands for none.
func read(t reflect.Type, tag reflect.StructTag, text string) (any, error) {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return readDuration(tag, text)
	case reflect.TypeFor[float64]():
		return readShare(text)
	case reflect.TypeFor[fs.FileMode]():
		return readMode(text)
	case reflect.TypeFor[netip.Prefix]():
		return readNetwork(text)
	}
	switch t.Kind() {
	case reflect.Bool:
		if on, err := strconv.ParseBool(text); err == nil {
			return on, nil
		}
		return nil, fmt.Errorf("wants %s, not %q", wants(t), textfmt.Clip(text))
	case reflect.Int:
		if n, err := strconv.Atoi(text); err == nil {
			return n, nil
		}
		return nil, fmt.Errorf("wants %s, not %q", wants(t), textfmt.Clip(text))
	}
	return reflect.ValueOf(text).Convert(t).Interface(), nil
}

func readDuration(tag reflect.StructTag, text string) (any, error) {
	format := tag.Get("format")
	d, err := api.ParseDuration(text)
	switch {
	case text == "":
		return nil, nil
	case text == "never" && format == "hold":
		return guard.Never, nil
	case err == nil && d == 0 && format != "":
		return guard.Off, nil
	case err == nil && d < 0:
		return nil, outside(tag, text)
	case err == nil:
		return d, nil
	case isNumber(text):
		return nil, fmt.Errorf("%s has no unit%s", textfmt.Clip(text), withUnit(tag, text))
	case format == "hold":
		return nil, fmt.Errorf("%q is not a hold: a duration as in 30s, 0s for none, or never", textfmt.Clip(text))
	case format == "wait":
		return nil, fmt.Errorf("%q is not a duration, as in 15s, or 0s for none", textfmt.Clip(text))
	}
	return nil, fmt.Errorf("%q is not a duration, as in 500ms, 30s or 5m", textfmt.Clip(text))
}

func isNumber(text string) bool {
	return regexp.MustCompile(`^-?[0-9]*\.?[0-9]+$`).MatchString(text)
}

// withUnit returns advice on a number without a unit: the first unit with which it is
// within the bounds.
func withUnit(tag reflect.StructTag, number string) string {
	for _, unit := range []string{"s", "ms", "m", "h"} {
		if d, err := time.ParseDuration(number + unit); err == nil && inBounds(tag, int64(d)) {
			return fmt.Sprintf(": write %q", number+unit)
		}
	}
	return fmt.Sprintf(", and with any it is not within %s and %s", tag.Get("min"), tag.Get("max"))
}

// inBounds reports whether n is within the bounds of a number or, in nanoseconds, of a
// duration.
func inBounds(tag reflect.StructTag, n int64) bool {
	return tag.Get("min") == "" || n >= bound(tag.Get("min")) && n <= bound(tag.Get("max"))
}

func outside(tag reflect.StructTag, text string) error {
	return fmt.Errorf("%s is not within %s and %s", textfmt.Clip(text), tag.Get("min"), tag.Get("max"))
}

// bound reads a tag: a number or a duration.
func bound(text string) int64 {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	d, _ := api.ParseDuration(text) // a test reads all tags
	return int64(d)
}

func readShare(text string) (any, error) {
	digits, ok := strings.CutSuffix(text, "%")
	n, err := strconv.ParseUint(digits, 10, 16)
	switch {
	case text == "":
		return nil, nil
	case err != nil || n < 1 || n > 100:
		return nil, fmt.Errorf("%q is not a share, from 1%% to 100%%", textfmt.Clip(text))
	case !ok:
		return nil, fmt.Errorf("%s has no unit: write %q", digits, digits+"%")
	}
	return float64(n) / 100, nil
}

func readMode(text string) (any, error) {
	mode, err := strconv.ParseUint(text, 8, 32)
	switch {
	case text == "":
		return nil, nil
	case err != nil || mode > 0o777:
		return nil, fmt.Errorf("%q is not a file mode, as in \"0660\"", textfmt.Clip(text))
	}
	return fs.FileMode(mode), nil
}

// readNetwork reads a network; an address alone is a network of one.
func readNetwork(text string) (any, error) {
	n, err := netip.ParsePrefix(text)
	if addr, alone := netip.ParseAddr(text); err != nil && alone == nil && addr.Zone() == "" {
		n, err = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is not a network, as in 10.0.0.0/8 or 2001:db8::/32", textfmt.Clip(text))
	case n != n.Masked():
		return nil, fmt.Errorf("%s has bits beyond its length; did you mean %q?", textfmt.Clip(text), n.Masked())
	case n.Addr().Is4In6():
		return nil, fmt.Errorf("%s: write IPv4 networks as such: addresses are compared in that form", textfmt.Clip(text))
	}
	return n, nil
}

// written returns a value as the file has it: what [read] reads as the same.
func written(v reflect.Value) any {
	switch value := v.Interface().(type) {
	case time.Duration:
		return writtenDuration(value)
	case float64:
		return strconv.Itoa(int(math.Round(value*100))) + "%"
	case fs.FileMode:
		return fmt.Sprintf("%04o", value)
	case []netip.Prefix:
		return prefixes(value)
	}
	if v.Kind() == reflect.String {
		return v.String()
	}
	return v.Interface()
}

func writtenDuration(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == guard.Never:
		return "never"
	case d == guard.Off:
		return "0s"
	case d > day && d%day == 0:
		return strconv.Itoa(int(d/day)) + "d"
	}
	return textfmt.Duration(d)
}

func prefixes(list []netip.Prefix) []string {
	texts := make([]string, len(list))
	for i, n := range list {
		texts[i] = n.String()
	}
	return texts
}
