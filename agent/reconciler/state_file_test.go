package reconciler

import (
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots"
)

func TestLoadedRows(t *testing.T) {
	now := time.Now()
	rows := map[string]row{"web1": {addr(80), now.Add(-time.Minute)}, "web2": {addr(81), now.Add(-time.Minute)}, "web3": {addr(82), now}}
	own := []slots.Server{{Name: "web1", Addr: addr(80), Class: slots.Ready}, {Name: "web2", Addr: addr(99), Class: slots.Ready}, {Name: "web3"}, {Name: "web4"}}
	if loaded, of := loadedRows(rows, own, now.Add(-time.Second)); loaded != 1 || of != 2 {
		t.Errorf("%d of %d", loaded, of)
	}
	own[0].Class = slots.Maint
	if loaded, of := loadedRows(rows, own, now.Add(-time.Second)); loaded != 0 || of != 2 {
		t.Errorf("%d of %d", loaded, of)
	}
	if _, of := loadedRows(rows, own[2:], now.Add(-time.Second)); of != 0 {
		t.Errorf("of %d: the slots are others", of)
	}
}
