package agent

import (
	"path/filepath"
	"testing"
)

func TestStateDirectoryIsMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lib", "slotsync")
	s := saver{dir: dir, failed: func(err error) { t.Error(err) }, worked: func() {}}
	s.write(stored{Version: stateVersion})
	if _, err := loadState(dir); err != nil {
		t.Error(err)
	}
}
