package main

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// A schemaSet has the schemas of types, by their names.
type schemaSet struct {
	comments comments
	all      object
}

// values are those that a field has, where there are no others, by its type and its name in
// JSON.
func values() map[string][]string {
	return map[string][]string{
		"BackendStatus.phase": {api.PhaseWaiting, api.PhaseRestored, api.PhaseLive},
		"Event.kind":          api.EventKinds(),
		"Hold.kind":           {api.HoldEmpty, api.HoldRemoval, api.HoldUnhealthy, api.HoldTakeover},
		"Override.kind":       api.OverrideKinds[:],
		"PartStatus.state":    {discovery.Partial.String(), discovery.Unknown.String()},
		"SlotStatus.state":    {"free", api.StateReady, api.StateDrain, "down", api.HoldTakeover, api.SlotUnusable},
		"SourceStatus.state":  {"unknown", "ok", "none yet", "failing"},
		"StateBody.state":     {api.StateReady, api.StateDrain, api.StateMaint},
	}
}

// of returns the schema of a value's type.
func (s *schemaSet) of(v any) object { return s.schema(reflect.TypeOf(v)) }

// schema returns the schema of a type. That of a struct is kept under its name.
func (s *schemaSet) schema(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[netip.AddrPort]():
		return object{"type": "string"}
	case reflect.TypeFor[slots.Class]():
		return object{"type": "string", "enum": []string{slots.Maint.String(), slots.Drain.String(), slots.Ready.String()}}
	case reflect.TypeFor[discovery.State]():
		return object{"type": "string", "enum": []string{discovery.Ready.String(), discovery.Drain.String(), discovery.Down.String()}}
	case reflect.TypeFor[api.Weight]():
		// A number is understood too, and not described: few generators know what may be
		// either.
		return object{"type": "string", "examples": []string{"58", "20%"}}
	case reflect.TypeFor[struct{}]():
		return object{"type": "object"}
	}
	switch t.Kind() {
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return object{"type": "integer", "format": "int64"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Pointer:
		return s.schema(t.Elem())
	case reflect.Slice:
		return object{"type": "array", "items": s.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.schema(t.Elem())}
	case reflect.Struct:
		if s.all[t.Name()] == nil {
			s.all[t.Name()] = object{} // it may be within itself
			s.all[t.Name()] = s.structure(t)
		}
		return object{"$ref": "#/components/schemas/" + t.Name()}
	}
	panic(fmt.Sprintf("there is no schema for %s", t))
}

// structure is the schema of a struct, with the fields of those that it embeds.
func (s *schemaSet) structure(t reflect.Type) object {
	properties, required := object{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" || name == "-" || !f.IsExported() {
			continue
		}
		owner := t
		if len(f.Index) > 1 {
			owner = t.FieldByIndex(f.Index[:len(f.Index)-1]).Type
			if _, own := tagged(t, name); own { // what stands in the struct itself goes before it
				continue
			}
		}
		always := !strings.Contains(options, "omit")
		if always {
			required = append(required, name)
		}
		properties[name] = s.field(owner, f, name, options, always)
	}
	out := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	if words := s.comments[t.String()]; words != "" {
		out["description"] = words
	}
	return out
}

// tagged returns the field of t itself, embedded ones aside, that JSON has under a name.
func tagged(t reflect.Type, name string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name && !f.Anonymous {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// field is the schema of a field of owner.
func (s *schemaSet) field(owner reflect.Type, f reflect.StructField, name, options string, always bool) object {
	schema := s.schema(f.Type)
	if _, ref := schema["$ref"]; ref && f.Type.Kind() == reflect.Pointer && always {
		schema = object{"anyOf": []object{schema, {"type": "null"}}}
	}
	if strings.Contains(options, "string") {
		schema = object{"type": "string"}
	}
	if list := values()[owner.Name()+"."+name]; list != nil {
		schema["enum"] = list
	}
	if words := s.comments[owner.String()+"."+f.Name]; words != "" {
		schema["description"] = words
	}
	return schema
}
