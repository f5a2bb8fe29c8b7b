package securedir

import (
	"strconv"
	"strings"
)

// A Mount is one line of mountinfo, proc(5).
type Mount struct {
	Root  string // what of the file system is mounted
	Point string // where
}

// ParseMounts reads mountinfo. Lines that are cut are passed over.
func ParseMounts(mountinfo string) (mounts []Mount) {
	for line := range strings.Lines(mountinfo) {
		if fields := strings.Fields(line); len(fields) > 4 {
			mounts = append(mounts, Mount{unescape(fields[3]), unescape(fields[4])})
		}
	}
	return mounts
}

// unescape replaces \ and three octal digits, as proc(5) writes blanks and the like.
func unescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
