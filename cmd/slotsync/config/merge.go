package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"

	"github.com/slotsync/slotsync/cmd/slotsync/textfmt"
)

// merge lays the environment over the document, and both over the defaults.
// What the environment overrides is placed at the name of its variable.
func merge(doc document, env Environment) (rawConfig, []fault) {
	var raw rawConfig
	var faults []fault
	v := viper.New()
	for path, value := range defaults(env) {
		v.SetDefault(path, value)
	}
	if err := v.MergeConfigMap(doc.values); err != nil {
		return raw, []fault{{message: err.Error()}}
	}
	for path, kind := range scalars(reflect.TypeFor[rawConfig](), "") {
		name := variable(path)
		text, ok := env[name]
		if !ok {
			continue
		}
		value, err := fromEnvironment(kind, text)
		if err != nil {
			faults = append(faults, fault{place{name: name}, path, err.Error()})
			continue
		}
		doc.places[path] = place{name: name}
		v.Set(path, value)
	}
	if name := stateVariable(env); name != "" && doc.places["state_dir"] == (place{}) {
		doc.places["state_dir"] = place{name: name}
	}
	if err := v.Unmarshal(&raw, strictly); err != nil {
		faults = append(faults, fault{message: strings.ReplaceAll(err.Error(), "\n", " ")})
	}
	return raw, faults
}

func strictly(c *mapstructure.DecoderConfig) {
	c.WeaklyTypedInput, c.ErrorUnused, c.DecodeHook = false, true, nil
}

// variable is the name of the variable that overrides path.
func variable(path string) string {
	return ourVariables + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

func fromEnvironment(kind reflect.Kind, text string) (any, error) {
	switch kind {
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fmt.Errorf("wants true or false, not %q", textfmt.Clip(text))
		}
		return b, nil
	case reflect.Int:
		i, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("wants a whole number, not %q", textfmt.Clip(text))
		}
		return i, nil
	}
	return text, nil
}
