// Command lint has the linter of speakeasy-api/openapi read an OpenAPI document, and fails if it finds anything.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/speakeasy-api/openapi/linter"
	"github.com/speakeasy-api/openapi/openapi"
	rules "github.com/speakeasy-api/openapi/openapi/linter"
)

// leftOut are the rules that are not for this API, with why.
var leftOut = map[string]string{
	"oas3-example-missing":                    "bodies have one; one of each field would say again what its description says",
	"owasp-additional-properties-constrained": "what has a key for each name, such as a row of HAProxy's, is as long as that is",
	"owasp-no-additional-properties":          "the same",
	"owasp-array-limit":                       "an answer is as long as what it tells of; a body has 64 KB at most, whatever is in it",
	"owasp-string-limit":                      "the same",
	"owasp-string-restricted":                 "addresses and names are said in their descriptions",
	"owasp-integer-limit":                     "format says it",
	"owasp-define-error-validation":           "a GET without parameters has nothing to refuse",
	"owasp-no-http-basic":                     "passwords are for listeners with TLS",
	"owasp-rate-limit":                        "nobody has a quota; 429 is a limit of the listener",
	"owasp-rate-limit-retry-after":            "the same",
	"owasp-security-hosts-https-oas3":         "the listener is on loopback where nothing else is configured",
	"semantic-unused-component":               "Event is the data of a stream, which no schema can say",
	"style-info-contact":                      "there is the repository alone",
	"style-license-url":                       "the identifier stands in its place",
	"style-no-verbs-in-path":                  "the paths of Go's profiles",
	"style-path-trailing-slash":               "the same",
}

func main() {
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "lint:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	document, invalid, err := openapi.Unmarshal(ctx, file)
	if err != nil {
		return err
	}
	config := linter.NewConfig()
	off := true
	for id := range leftOut {
		config.Rules = append(config.Rules, linter.RuleEntry{ID: id, Disabled: &off})
	}
	l, err := rules.NewLinter(config)
	if err != nil {
		return err
	}
	found, err := l.Lint(ctx, linter.NewDocumentInfo(document, name), invalid, nil)
	if err != nil {
		return err
	}
	if len(found.Results) > 0 {
		fmt.Println(found.FormatText())
		return errors.New(name + " is not as the rules want it")
	}
	return nil
}
