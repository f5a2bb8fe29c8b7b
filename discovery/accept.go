package discovery

// An Acceptor is a [Source] with parts that may stay [Partial] until somebody says that
// what they lack is gone, as a list that a token may read less of than before.
type Acceptor interface {
	// Accept says that an operator takes for gone what the parts of the source lack.
	// From now on the source judges them by what they are now: the next reading may
	// say Whole where the last one said Partial. It changes nothing for parts that are
	// partial for a reason that ends by itself. It may be called at any time, from any
	// goroutine, and does not block. What it changes is in [Rememberer.Memory] when it
	// returns.
	Accept()
}

// Accept tells src that what its parts lack is gone, and reports whether it is an [Acceptor]. It is
// called after an operator accepted the end of all that was kept of src.
func Accept(src Source) bool {
	a, ok := src.(Acceptor)
	if ok {
		a.Accept()
	}
	return ok
}
