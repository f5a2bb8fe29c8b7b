package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// outermost is where the keys are that every backend has which does not say otherwise.
const outermost = "defaults"

// inheritDefaults gives the backends what they do not say, and has it stand where the
// defaults do. What a source has no use for is left out.
func (c *checker) inheritDefaults(raw *rawConfig) {
	d := reflect.ValueOf(&raw.Defaults).Elem()
	kinds := map[string]string{}
	for _, s := range raw.Sources {
		kinds[s.Name] = s.Type
	}
	rules := slices.Collect(maps.Keys(maps.Collect(fields(reflect.TypeFor[rawRules]()))))
	for i := range raw.Backends {
		b, path := &raw.Backends[i], fmt.Sprintf("backends[%d]", i)
		to := reflect.ValueOf(b).Elem()
		c.inheritKeys(path, to, d, append(rules, "slots", "instances"))
		if !c.given(path+".from") && !c.given(path+".endpoints") {
			c.inheritKeys(path, to, d, []string{"source"})
		}
		c.inheritKeys(path, to, d, askedBy(kinds[b.Source]))
		for j := range b.From {
			c.inheritKeys(fmt.Sprintf("%s.from[%d]", path, j), reflect.ValueOf(&b.From[j]).Elem(), d, askedBy(kinds[b.From[j].Source]))
		}
	}
}

// askedBy returns the keys of a rawAsk that sources of a kind know.
func askedBy(kind string) []string {
	known := map[string][]string{"consul": consulKeys(), "nomad": nomadKeys()}[kind]
	all := maps.Collect(fields(reflect.TypeFor[rawAsk]()))
	return slices.DeleteFunc(known, func(key string) bool { return all[key] == nil })
}

// inheritKeys sets the keys of to, at path, that nobody gave, to those of the defaults.
func (c *checker) inheritKeys(path string, to, defaults reflect.Value, keys []string) {
	for _, key := range keys {
		c.inheritKey(join(path, key), join(outermost, key), fieldOf(to, key), fieldOf(defaults, key))
	}
}

func (c *checker) inheritKey(path, of string, to, from reflect.Value) {
	if to.Kind() == reflect.Struct {
		for key := range fields(to.Type()) {
			c.inheritKey(join(path, key), join(of, key), fieldOf(to, key), fieldOf(from, key))
		}
		return
	}
	if c.given(path) || !c.given(of) {
		return
	}
	to.Set(from)
	c.places[path], c.inherited[path] = c.places[of], of
	if to.Kind() != reflect.Slice {
		return
	}
	for i := range to.Len() {
		entry := fmt.Sprintf("[%d]", i)
		if at, ok := c.places[of+entry]; ok {
			c.places[path+entry], c.inherited[path+entry] = at, of+entry
		}
	}
}

// fieldOf is the field of a struct of the schema that has a key.
func fieldOf(v reflect.Value, key string) reflect.Value {
	for name, f := range members(v.Type()) {
		if name == key {
			return v.FieldByIndex(f.Index)
		}
	}
	return reflect.Value{}
}

// defaultEffects warns of defaults that no backend takes.
func (c *checker) defaultEffects(t reflect.Type, path string) {
	for key, ft := range fields(t) {
		here := join(path, key)
		if ft.Kind() == reflect.Struct {
			c.defaultEffects(ft, here)
			continue
		}
		if !slices.Contains(slices.Collect(maps.Values(c.inherited)), here) {
			c.useless(path, "since every backend says otherwise, or has no use for it", key)
		}
	}
}
