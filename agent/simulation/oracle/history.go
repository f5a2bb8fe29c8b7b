package oracle

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// An Entry is one thing that an oracle was told: the name of its method, and with what it
// was called. A list of them is a history that can be kept and judged again.
type Entry struct {
	Name string
	Args []json.RawMessage
}

// Record hands every entry from now on to what is given, which may be nil.
func (o *Oracle) Record(to func(Entry)) { o.record = to }

// keep records a call.
func (o *Oracle) keep(name string, args ...any) {
	if o.record == nil {
		return
	}
	e := Entry{Name: name}
	for _, a := range args {
		text, err := json.Marshal(a)
		if err != nil {
			panic(err) // every argument is plain data
		}
		e.Args = append(e.Args, text)
	}
	o.record(e)
}

// Replay judges a history and returns what it breaks. It fails where an entry is none.
func Replay(history []Entry) ([]Violation, error) {
	o := New()
	for i, e := range history {
		method := reflect.ValueOf(o).MethodByName(e.Name)
		if !method.IsValid() || e.Name == "Record" || method.Type().NumIn() != len(e.Args) {
			return nil, fmt.Errorf("entry %d: an oracle cannot be told %s of %d arguments", i, e.Name, len(e.Args))
		}
		args := make([]reflect.Value, len(e.Args))
		for j, text := range e.Args {
			arg := reflect.New(method.Type().In(j))
			if err := json.Unmarshal(text, arg.Interface()); err != nil {
				return nil, fmt.Errorf("entry %d: %s: argument %d: %w", i, e.Name, j+1, err)
			}
			args[j] = arg.Elem()
		}
		method.Call(args)
	}
	return o.Violations(), nil
}
