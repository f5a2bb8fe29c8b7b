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
// defaults, or the guard of all backends, do. What a source has no use for is left out.
func (c *checker) inheritDefaults(root *rootKeys) {
	kinds := map[string]string{}
	for _, s := range root.Sources {
		kinds[s.Name] = s.Type
	}
	defaults, guard := reflect.ValueOf(root.Defaults), reflect.ValueOf(root.Guard)
	for i := range root.Backends {
		b, path := &root.Backends[i], fmt.Sprintf("backends[%d]", i)
		if !c.given(path+".from") && !c.given(path+".endpoints") {
			c.inheritKey(path+".source", reflect.ValueOf(&b.Source).Elem(), outermost+".source", reflect.ValueOf(root.Defaults.Source))
		}
		c.inherit(path, reflect.ValueOf(b).Elem(), outermost, defaults, kinds[b.Source])
		c.inherit(path+".guard", reflect.ValueOf(&b.Guard).Elem(), "guard", guard, "")
		for j := range b.From {
			from := &b.From[j]
			c.inherit(fmt.Sprintf("%s.from[%d]", path, j), reflect.ValueOf(from).Elem(), outermost, defaults, kinds[from.Source])
		}
	}
}

// inherit sets the keys of a mapping that nobody gave to those of another one, where they
// mean something for the type of source. The source itself is none of them.
func (c *checker) inherit(path string, to reflect.Value, of string, from reflect.Value, kind string) {
	for key, f := range members(from.Type()) {
		own, ok := fieldOf(to.Type(), key)
		switch {
		case !ok || key == "source" || !isFor(f, kind):
		case IsMapping(f.Type):
			c.inherit(join(path, key), to.FieldByIndex(own.Index), join(of, key), from.FieldByIndex(f.Index), kind)
		default:
			c.inheritKey(join(path, key), to.FieldByIndex(own.Index), join(of, key), from.FieldByIndex(f.Index))
		}
	}
}

func (c *checker) inheritKey(path string, to reflect.Value, of string, from reflect.Value) {
	if c.given(path) {
		c.usual[path] = reflect.DeepEqual(to.Interface(), from.Interface())
		return
	}
	if !c.given(of) {
		return
	}
	to.Set(from)
	c.places[path], c.inherited[path], c.unset[path] = c.places[of], of, c.unset[of]
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

// defaultEffects warns of defaults that no backend takes.
func (c *checker) defaultEffects(t reflect.Type, path string) {
	for key, f := range members(t) {
		here := join(path, key)
		if IsMapping(f.Type) {
			c.defaultEffects(f.Type, here)
			continue
		}
		if !slices.Contains(slices.Collect(maps.Values(c.inherited)), here) {
			c.useless(path, "since every backend says otherwise, or has no use for it", key)
		}
	}
}
