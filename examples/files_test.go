package examples_test

import (
	"path/filepath"
	"testing"

	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/discovery/file"
)

// TestEndpointsAreRead reads the endpoints of the example with files as slotsync does.
func TestEndpointsAreRead(t *testing.T) {
	path, err := filepath.Abs("files/endpoints/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files, err := file.New(file.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	for service, want := range map[string]int{"web": 3, "api": 3} {
		source, err := files.Source(file.Query{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		reading, err := source.Confirm(t.Context())
		if err != nil || len(reading.Endpoints()) != want || len(reading.Rejected) > 0 {
			t.Errorf("%s: %+v, %v", service, reading, err)
		}
		draining := 0
		for _, e := range reading.Endpoints() {
			if e.State == discovery.Drain {
				draining++
			}
		}
		if service == "api" && draining != 1 {
			t.Errorf("%d endpoints of api drain, want 1", draining)
		}
	}
}
