package api

import (
	"regexp"
	"strconv"
	"time"
)

// ParseDuration is [time.ParseDuration] that also knows days and weeks, as in 1d or
// 1w2d12h: a day has 24 hours.
func ParseDuration(text string) (time.Duration, error) {
	long := regexp.MustCompile(`[0-9]*\.?[0-9]+[dw]`)
	return time.ParseDuration(long.ReplaceAllStringFunc(text, func(part string) string {
		last := len(part) - 1
		n, err := strconv.ParseFloat(part[:last], 64)
		if err != nil {
			return part // time.ParseDuration refuses it
		}
		if n *= 24; part[last] == 'w' {
			n *= 7
		}
		return strconv.FormatFloat(n, 'f', -1, 64) + "h"
	}))
}
