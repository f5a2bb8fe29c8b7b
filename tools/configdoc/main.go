// Command configdoc writes docs/configuration.md and docs/slotsync.schema.json, which say
// every key of the configuration, from the tags of the types in cmd/slotsync/config.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/slotsync/slotsync/cmd/slotsync/config"
)

func main() {
	if err := run("docs"); err != nil {
		fmt.Fprintln(os.Stderr, "configdoc:", err)
		os.Exit(1)
	}
}

// run writes the files into a folder.
func run(folder string) error {
	schema, err := config.Schema()
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{"configuration.md": page(config.File()), "slotsync.schema.json": append(schema, '\n')} {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
