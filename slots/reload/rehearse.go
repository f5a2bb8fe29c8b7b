package reload

import (
	"context"
	"fmt"
)

// Rehearse does what Run does up to the replacement, and leaves everything as it was: it
// renders d, or takes the file as it is where none is rendered, has the check judge that,
// and sees whether the file could be replaced where it is. words are what the check said.
// The error is an [*Error] with the step that would fail.
func (t *Transaction) Rehearse(ctx context.Context, d Data) (words string, err error) {
	if words, err = t.Check(ctx, d); err != nil || !t.Renders() {
		return words, err
	}
	found, err := t.snapshot(t.o.File)
	if err == nil {
		err = t.replaceable(found)
	}
	if err != nil {
		err = fmt.Errorf("%s could not be replaced: %w", t.o.File, err)
	}
	return words, t.unchanged(StepReplace, err, "")
}
