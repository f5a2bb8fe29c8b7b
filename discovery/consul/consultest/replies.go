package consultest

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"

	"github.com/slotsync/slotsync/discovery/discoverytest"
)

// Good answers 200 with an index and the headers of a healthy server; header
// adds to them or replaces them.
func Good(index uint64, body string, header ...string) http.HandlerFunc {
	usual := append([]string{"Content-Type", "application/json"}, healthy(index)...)
	return discoverytest.Reply(http.StatusOK, body, append(usual, header...)...)
}

// healthy returns the headers of a healthy server, name and value in turn.
func healthy(index uint64) []string {
	return []string{"X-Consul-Index", strconv.FormatUint(index, 10), "X-Consul-KnownLeader", "true", "X-Consul-LastContact", "0"}
}

// Hang answers nothing until the client goes.
func Hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// HalfOpen sends the headers of a reply and nothing more.
func HalfOpen(index uint64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		Good(index, "[")(w, r)
		_ = http.NewResponseController(w).Flush() // the client may have gone
		Hang(w, r)
	}
}

// Cut ends the connection in the middle of body, which is said to be longer by
// missing bytes.
func Cut(index uint64, body string, missing int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		Good(index, body, "Content-Length", strconv.Itoa(len(body)+missing))(w, r)
		_ = http.NewResponseController(w).Flush() // the client may have gone
		panic(http.ErrAbortHandler)
	}
}

// Endless sends size bytes of blanks in front of a list.
func Endless(index uint64, size int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		Good(index, "")(w, r)
		blanks := bytes.Repeat([]byte(" "), 64<<10)
		for sent := 0; sent < size; sent += len(blanks) {
			if _, err := w.Write(blanks); err != nil {
				return
			}
		}
		_, _ = w.Write([]byte("[]")) // the client may have gone
	}
}

// GzipBomb sends a list with size blanks in it, packed, though nobody asked for
// that.
func GzipBomb(index uint64, size int) http.HandlerFunc {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(bytes.Repeat([]byte(" "), size)) // a buffer takes everything
	_, _ = z.Write([]byte("[]"))
	_ = z.Close()
	return Good(index, packed.String(), "Content-Encoding", "gzip")
}
