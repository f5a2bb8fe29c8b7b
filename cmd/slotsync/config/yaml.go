package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// yamlText returns a scalar, or a list of strings, on one line.
func yamlText(value any) string {
	switch value := value.(type) {
	case string:
		return yamlString(value)
	case []string:
		words := make([]string, len(value))
		for i, word := range value {
			words[i] = yamlString(word)
		}
		return "[" + strings.Join(words, ", ") + "]"
	}
	return fmt.Sprint(value)
}

// yamlString returns s as it is where YAML reads that as the same string, else in
// the quotes of JSON, which YAML reads as well.
func yamlString(s string) string {
	var n yaml.Node
	if regexp.MustCompile(`^[A-Za-z0-9/._][A-Za-z0-9/._%+-]*$`).MatchString(s) && yaml.Unmarshal([]byte(s), &n) == nil &&
		len(n.Content) == 1 && n.Content[0].ShortTag() == "!!str" {
		return s
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return "" // a string always has a form in JSON: not reached
	}
	return strings.TrimSpace(b.String())
}
