package discovery

// A Rememberer is a [Source] that goes on better after a restart with what it learnt
// before it: which server had a name, or since when a list is filtered.
type Rememberer interface {
	// Memory returns what is worth keeping, nil if nothing is: text of at most
	// [MaxMemory] bytes that holds no secret. It may be called at any time, from any
	// goroutine, does not block, and returns equal text while nothing changed.
	Memory() []byte
	// Remember takes what Memory returned in another process. It is called before
	// Next, at most once. Text that cannot be used is ignored.
	Remember(text []byte)
}

// MaxMemory bounds what is kept of one source, in bytes.
const MaxMemory = 64 << 10

// MemoryOf returns what src wants to be kept; nil if that is nothing, or too much.
func MemoryOf(src Source) []byte {
	r, ok := src.(Rememberer)
	if !ok {
		return nil
	}
	text := r.Memory()
	if len(text) > MaxMemory {
		return nil
	}
	return text
}

// Remind hands src what was kept of it.
func Remind(src Source, text []byte) {
	if r, ok := src.(Rememberer); ok && len(text) > 0 && len(text) <= MaxMemory {
		r.Remember(text)
	}
}
