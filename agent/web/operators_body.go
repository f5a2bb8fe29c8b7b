package web

import (
	"fmt"

	"github.com/slotsync/slotsync/agent/api"
)

// A weightBody is an [api.WeightBody] as it came: to say no weight is not to say "".
type weightBody struct {
	Weight *api.Weight `json:"weight"`
	api.WhoBody
}

func errNoWeight() error {
	return fmt.Errorf(`%w: weight is missing: a number, a text as in "20%%", or "" for what its source says`, api.ErrBadRequest)
}

// badAddress says what an address of an endpoint looks like.
func badAddress(text string) error {
	return fmt.Errorf("%w: %q is not ip:port, as in 10.0.0.1:80 or [fd00::1]:80", api.ErrBadRequest, api.Sanitize(text))
}
