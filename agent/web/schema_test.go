package web_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// A schemas set checks values against the part of JSON Schema (2020-12) that
// openapi.json uses. It is stricter in one way: what no schema describes is a fault.
type schemas map[string]any

// check returns what is wrong with v, one line each. at says where it is.
func (all schemas) check(schema map[string]any, v any, at string) (faults []string) {
	if ref, ok := schema["$ref"].(string); ok {
		target, known := all[strings.TrimPrefix(ref, "#/components/schemas/")].(map[string]any)
		if !known {
			return []string{at + ": nothing is at " + ref}
		}
		return all.check(target, v, at)
	}
	if options, ok := schema["anyOf"].([]any); ok {
		return all.checkAny(options, v, at)
	}
	if fault := checkType(schema["type"], v); fault != "" {
		return []string{at + ": " + fault}
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, v) {
		faults = append(faults, fmt.Sprintf("%s: %v is none of %v", at, v, enum))
	}
	if schema["format"] == "date-time" {
		if _, err := time.Parse(time.RFC3339, v.(string)); err != nil {
			faults = append(faults, at+": "+err.Error())
		}
	}
	switch v := v.(type) {
	case []any:
		items, _ := schema["items"].(map[string]any)
		for i, x := range v {
			faults = append(faults, all.check(items, x, fmt.Sprintf("%s[%d]", at, i))...)
		}
	case map[string]any:
		faults = append(faults, all.checkObject(schema, v, at)...)
	}
	return faults
}

func (all schemas) checkAny(options []any, v any, at string) (faults []string) {
	for _, o := range options {
		wrong := all.check(o.(map[string]any), v, at)
		if len(wrong) == 0 {
			return nil
		}
		faults = append(faults, wrong...)
	}
	return faults
}

func (all schemas) checkObject(schema, v map[string]any, at string) (faults []string) {
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			faults = append(faults, fmt.Sprintf("%s: %s is missing", at, name))
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	more, open := schema["additionalProperties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(v)) {
		switch of, known := properties[name].(map[string]any); {
		case known:
			faults = append(faults, all.check(of, v[name], at+"."+name)...)
		case open:
			faults = append(faults, all.check(more, v[name], at+"."+name)...)
		case properties != nil:
			faults = append(faults, at+"."+name+" is not described")
		}
	}
	return faults
}

// checkType returns how v is not of the type, or of any of the types.
func checkType(types, v any) string {
	list, many := types.([]any)
	if !many && types != nil {
		list = []any{types}
	}
	for _, t := range list {
		n, number := v.(float64)
		switch t {
		case "integer":
			if number && n == float64(int64(n)) {
				return ""
			}
		case kindOf(v):
			return ""
		}
	}
	if types == nil {
		return ""
	}
	return fmt.Sprintf("a %s, not a %v", kindOf(v), types)
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case float64:
		return "number"
	case bool:
		return "boolean"
	case []any:
		return "array"
	}
	return "object"
}

// A jsonField is how encoding/json writes a field: always, or only if it is set.
type jsonField struct {
	always bool
	of     reflect.Type
}

// jsonFields returns the fields of a struct as JSON has them.
func jsonFields(t reflect.Type) map[string]jsonField {
	out := map[string]jsonField{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" || name == "-" || !f.IsExported() {
			continue
		}
		out[name] = jsonField{!strings.Contains(options, "omit"), f.Type}
	}
	return out
}
