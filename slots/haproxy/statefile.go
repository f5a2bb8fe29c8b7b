package haproxy

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/slotsync/slotsync/securedir"
	"github.com/slotsync/slotsync/slots"
)

// stateHead begins a server-state file (Management Guide, "show servers state").
// HAProxy reads 20 columns in every version.
const stateHead = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight " +
	"srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state " +
	"bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord\n"

// backendMark stands for the backend's name in a pattern.
const backendMark = "{backend}"

// A stateFile is the server-state files of one instance.
type stateFile struct {
	pattern string
	folders securedir.Policy

	// ids are those of backends, as HAProxy last showed them: who reads that does not wait
	// for the disk, as mu does.
	idsMu sync.Mutex
	ids   map[string]int

	mu    sync.Mutex
	lines map[string][]byte // by backend, of a file for all of them
	// foreign are the lines of others in such a file, as it was read last.
	foreign []byte
	files   map[string]*written // by path
}

// written is a file as it was left.
type written struct {
	text []byte
	info os.FileInfo
	file *os.File       // nil: it is on the disk, or on its way there
	dir  *securedir.Dir // of it
}

// Save writes what servers of backend should be to the server-state file, so
// that a HAProxy which starts with it is filled already (Configuration Manual,
// 3.1 "server-state-file", 4.2 "load-server-state-from-file"). Servers without
// an address are left out; for those the configuration decides. So are Dynamic
// ones, which no configuration has. Folders that lack are made. The file is
// replaced in one step, and not touched if it holds the same already. Without a
// pattern Save does nothing.
//
// The disk may lag behind: [Client.Sync] is to follow within a second.
func (c *Client) Save(backend string, servers []slots.Server) error {
	s := &c.state
	if s.pattern == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	lines, err := stateLines(backend, s.id(backend), servers)
	if err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	path, text, err := s.compose(backend, lines)
	if err == nil {
		err = s.replace(path, text)
	}
	if err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	return nil
}

// Sync makes what Save wrote survive a crash of the machine. It blocks for as
// long as the disk does; Save does not wait for it.
func (c *Client) Sync() error {
	s := &c.state
	s.mu.Lock()
	taken := map[string]*written{}
	for path, w := range s.files {
		if w.file != nil {
			taken[path] = &written{file: w.file, dir: w.dir}
			w.file, w.dir = nil, nil
		}
	}
	s.mu.Unlock()
	var errs []error
	for path, w := range taken {
		if err := w.sync(filepath.Base(path)); err != nil {
			errs = append(errs, fmt.Errorf("state file: %w", err))
		}
		w.close()
	}
	return errors.Join(errs...)
}

// setIDs takes the numbers of backends. HAProxy finds servers by
// their names alone, but complains of each line that has another number.
func (s *stateFile) setIDs(ids map[string]int) {
	if s.pattern == "" {
		return
	}
	s.idsMu.Lock()
	defer s.idsMu.Unlock()
	if s.ids == nil {
		s.ids = make(map[string]int)
	}
	maps.Copy(s.ids, ids)
}

func (s *stateFile) id(backend string) int {
	s.idsMu.Lock()
	defer s.idsMu.Unlock()
	return s.ids[backend]
}

// compose returns the file that a backend's lines belong to. In one for all backends the
// lines of those stay that somebody else writes.
func (s *stateFile) compose(backend string, lines []byte) (path string, text []byte, err error) {
	if strings.Contains(s.pattern, backendMark) {
		return strings.ReplaceAll(s.pattern, backendMark, backend), append([]byte(stateHead), lines...), nil
	}
	if s.lines == nil {
		s.lines = make(map[string][]byte)
	}
	_, known := s.lines[backend]
	s.lines[backend] = lines
	if !known { // what was somebody else's is ours now
		delete(s.files, s.pattern)
	}
	foreign, err := s.otherLines(s.pattern)
	if err != nil {
		return "", nil, err
	}
	text = append([]byte(stateHead), foreign...)
	for _, b := range slices.Sorted(maps.Keys(s.lines)) {
		text = append(text, s.lines[b]...)
	}
	return s.pattern, text, nil
}

// replace puts text in place of path unless it is there. It does not wait for the disk,
// since this is done before HAProxy hears of a change.
func (s *stateFile) replace(path string, text []byte) error {
	w := s.files[path]
	if w != nil && bytes.Equal(w.text, text) && w.untouched(path) {
		return nil
	}
	dir, err := s.folders.Make(filepath.Dir(path), 0o750)
	if err != nil {
		return err
	}
	name := filepath.Base(path)
	f, err := dir.Put("."+name+".slotsync", name, text, securedir.Attributes{Mode: 0o640, UID: -1, GID: -1})
	if err != nil {
		return errors.Join(err, dir.Close())
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close(), dir.Close())
	}
	if s.files == nil {
		s.files = make(map[string]*written)
	}
	if w != nil {
		w.close()
	}
	s.files[path] = &written{text: text, info: info, file: f, dir: dir}
	return nil
}

func (w *written) untouched(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && os.SameFile(info, w.info) && info.Size() == w.info.Size() && info.ModTime().Equal(w.info.ModTime())
}

// sync waits for the disk, by the descriptors that were written to: what has the name by
// now may be anything.
func (w *written) sync(name string) error {
	_, gone := w.dir.Stat(name)
	return errors.Join(w.file.Sync(), w.dir.Sync(), gone)
}

func (w *written) close() {
	if w.file != nil {
		w.file.Close()
		w.dir.Close()
		w.file, w.dir = nil, nil
	}
}

func stateLines(backend string, id int, servers []slots.Server) ([]byte, error) {
	if err := slots.CheckName(backend); err != nil {
		return nil, err
	}
	if backend == "." || backend == ".." {
		return nil, fmt.Errorf("backend %q names no file", backend)
	}
	b := make([]byte, 0, 100*len(servers))
	for _, s := range servers {
		if err := slots.CheckName(s.Name); err != nil {
			return nil, err
		}
		if s.Dynamic || checkAddr(s.Addr) != nil {
			continue
		}
		if s.Weight < 0 || s.Weight > 256 || s.Initial < 0 || s.Initial > 256 {
			return nil, fmt.Errorf("%s/%s: weight %d of %d is not within 0..256", backend, s.Name, s.Weight, s.Initial)
		}
		b = appendStateLine(b, backend, id, s)
	}
	return b, nil
}

// appendStateLine writes s as HAProxy would. The state "running" makes it take
// traffic before its first health check; the health behind it is cut to what
// the server's rise and fall allow. One in maintenance is "running" too, which HAProxy
// makes nothing of: with any other state it warns where the configuration does not say
// `disabled`, and refuses to start if that says `zero-warning`. The agent-check of one
// that is not ready stays disabled: it would bring the server back.
func appendStateLine(b []byte, backend string, id int, s slots.Server) []byte {
	const op = 2
	admin, health, agent := 0, 2, 0
	if s.Agent && s.Class != slots.Ready {
		agent = agentBits // configured, and not enabled
	}
	switch s.Class {
	case slots.Maint:
		admin, health = 1, 0
	case slots.Drain:
		admin = 8
	}
	if s.Disabled {
		admin |= disabledBit
	}
	b = append(strconv.AppendInt(b, int64(id), 10), ' ')
	b = append(append(b, backend...), " 0 "...)
	b = append(append(b, s.Name...), ' ')
	b = s.Addr.Addr().Unmap().AppendTo(b)
	for _, n := range [...]int{op, admin, s.Weight, s.Initial, 0, 1, 0, health, 8, agent, 0, 0} {
		b = strconv.AppendInt(append(b, ' '), int64(n), 10)
	}
	b = append(b, " - "...)
	b = strconv.AppendUint(b, uint64(s.Addr.Port()), 10)
	return append(b, " -\n"...)
}
