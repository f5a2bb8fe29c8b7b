package config

import (
	"reflect"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
)

// merge lays the environment over the document.
// What the environment overrides is placed at the name of its variable. Viper's BindEnv
// cannot do this: it reads the variables of the process, where ours are an argument, and
// says neither which of them a value is from nor which one is faulty.
func merge(doc document, env Environment) (*rootKeys, []fault) {
	var root rootKeys
	var faults []fault
	v := viper.New()
	if err := v.MergeConfigMap(doc.values); err != nil {
		return &root, []fault{{message: err.Error()}}
	}
	for _, scalar := range scalars(File(), "") {
		path, f, name := scalar.path, scalar.field, variable(scalar.path)
		text, ok := env[name]
		if !ok {
			continue
		}
		doc.places[path] = place{name: name}
		value, err := read(f.Type, f.Tag, text)
		if err != nil {
			faults = append(faults, newFault(place{name: name}, path, "%s", err))
		}
		if doc.unset[path] = value == nil; value == nil {
			value = reflect.Zero(f.Type).Interface()
		}
		v.Set(path, value)
	}
	if err := v.Unmarshal(&root, byKey); err != nil {
		faults = append(faults, fault{message: strings.ReplaceAll(err.Error(), "\n", " ")})
	}
	if root.StateDir == "" && (doc.places["state_dir"] == place{} || doc.unset["state_dir"]) {
		if name, dir := stateFromEnvironment(env); name != "" {
			doc.places["state_dir"], doc.unset["state_dir"], root.StateDir = place{name: name}, false, dir
		}
	}
	return &root, faults
}

// byKey has the decoder find fields by their keys, without conversions.
func byKey(c *mapstructure.DecoderConfig) {
	c.TagName, c.Squash, c.WeaklyTypedInput, c.DecodeHook = "yaml", true, false, nil
}

func variable(path string) string {
	return ourVariables + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// stateFromEnvironment returns where systemd or Nomad says that state is kept, and by
// which variable; "" if neither does.
func stateFromEnvironment(env Environment) (variable, dir string) {
	// systemd joins the folders of a unit that has several.
	if first, _, _ := strings.Cut(env["STATE_DIRECTORY"], ":"); first != "" {
		return "STATE_DIRECTORY", first
	}
	if alloc := env["NOMAD_ALLOC_DIR"]; alloc != "" {
		return "NOMAD_ALLOC_DIR", alloc + "/data/slotsync"
	}
	return "", ""
}
