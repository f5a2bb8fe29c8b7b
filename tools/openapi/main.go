// Command openapi writes agent/web/openapi.json, the OpenAPI document of the HTTP API, from
// the routes of agent/web and the types of agent/api: what a type and its fields are is
// what their comments in the source say.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/slotsync/slotsync/agent/web"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

// document is where the document stands in the module.
const document = "agent/web/openapi.json"

// run writes the document of the module at root.
func run(root string) error {
	text, err := generate(root, web.Routes())
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, document), text, 0o644)
}
