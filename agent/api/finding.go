package api

// The verdicts of a [Finding].
const (
	VerdictOK   = "ok"
	VerdictWarn = "warn"
	VerdictFail = "fail"
)

// A Finding is one thing that doctor looked at.
type Finding struct {
	Verdict string `json:"verdict"` // ok, warn, fail
	Subject string `json:"subject"` // as in "instance edge-1"
	Text    string `json:"text"`    // what is, and what to do about it
}
