package override

import (
	"fmt"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
)

// New returns o as who asks for it now. It fails as [Limit] does.
func New(o api.Override, who api.Who, now time.Time) (api.Override, error) {
	who, err := Limit(who, who.MaxFor)
	if err != nil {
		return o, err
	}
	o.By, o.Reason, o.Since, o.Keep, o.Listed = discovery.Printable(who.By, 100), discovery.Printable(who.Reason, 200), now, who.Keep, now
	o.Limited = who.MaxFor > 0
	if who.For > 0 {
		until := now.Add(who.For)
		o.Until = &until
	}
	return o, nil
}

// Limit returns who with an end, usual if none was asked for, if they have not full rights. It
// fails where the end would be too late, or is in the past.
func Limit(who api.Who, usual time.Duration) (api.Who, error) {
	switch {
	case who.For < 0:
		return who, fmt.Errorf("%w: it cannot last %s", api.ErrBadRequest, who.For)
	case who.MaxFor == 0:
	case who.For > who.MaxFor:
		return who, fmt.Errorf("%w: without full rights it can last %s at most (http.max_for), not %s", api.ErrBadRequest, who.MaxFor, who.For)
	case who.For == 0:
		who.For = min(usual, who.MaxFor)
	}
	return who, nil
}
