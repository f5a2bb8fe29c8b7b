package haproxy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slotsync/slotsync/slots"
	"github.com/slotsync/slotsync/slots/haproxy"
	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

const mebi = 1 << 20

const (
	hostileInfo  = "Name: HAProxy\nVersion: 3.2.4\nPid: 7\nStart_time_sec: 5\nStopping: 0\nnode: h\n"
	hostileState = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight " +
		"srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state " +
		"bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl\n"
	hostileServer = "3 web 1 w%d 10.0.0.1 2 0 1 1 1 1 0 0 6 0 0 0 - 80 - 0\n"
)

// readers are all ways to read from a HAProxy.
func readers() map[string]func(ctx context.Context, socket string) error {
	on := func(do func(ctx context.Context, c *haproxy.Client) error) func(context.Context, string) error {
		return func(ctx context.Context, socket string) error {
			c, err := haproxy.New(haproxy.Options{Socket: socket, Timeout: 20 * time.Second})
			if err != nil {
				return err
			}
			return do(ctx, c)
		}
	}
	all := map[string]func(context.Context, string) error{
		"info":  on(func(ctx context.Context, c *haproxy.Client) error { _, err := c.Info(ctx); return err }),
		"level": on(func(ctx context.Context, c *haproxy.Client) error { _, err := c.Level(ctx); return err }),
		"view": on(func(ctx context.Context, c *haproxy.Client) error {
			_, err := c.View(ctx, []string{"web"}, true)
			return err
		}),
		"all": on(func(ctx context.Context, c *haproxy.Client) error { _, err := c.View(ctx, nil, true); return err }),
		"raw": on(func(ctx context.Context, c *haproxy.Client) error { _, err := c.Raw(ctx, "show errors"); return err }),
		"apply": on(func(ctx context.Context, c *haproxy.Client) error {
			_, err := c.Apply(ctx, slots.Process{Pid: 7, Started: 5, Version: "3.2.4", Node: "h"},
				[]slots.Change{{Backend: "web", Slot: "w1", Kind: slots.Weigh, Weight: 3}})
			return err
		}),
		"try": on(func(ctx context.Context, c *haproxy.Client) error { return c.TryDynamic(ctx, "web", "w", "") }),
		"workers": func(ctx context.Context, socket string) error {
			m, err := haproxy.NewMaster(socket, 20*time.Second)
			if err == nil {
				_, err = m.Workers(ctx)
			}
			return err
		},
		"reload": func(ctx context.Context, socket string) error {
			m, err := haproxy.NewMaster(socket, 20*time.Second)
			if err == nil {
				_, err = m.Reload(ctx)
			}
			return err
		},
	}
	for _, what := range slots.Dumps {
		all["dump-"+what] = on(func(ctx context.Context, c *haproxy.Client) error { _, err := c.Dump(ctx, what); return err })
	}
	return all
}

// bound is how much memory each of them may take, in MiB: twice what is read at most, and
// what a process needs at all (threads, the collector's own, garbage of a small heap), which
// is less where little is read.
func bound(reader string) int {
	switch {
	case reader == "view", reader == "all", reader == "apply":
		return 2*32 + 20
	case reader == "raw", strings.HasPrefix(reader, "dump-"):
		return 2*8 + 20
	}
	return 2*1 + 6
}

// A flood is what a hostile HAProxy says after a good beginning: a block, again and again.
type flood struct {
	begin string
	block func() []byte
	bytes int  // of blocks, at least
	whole bool // the answer ends as it should
}

// same is a block of one unit.
func same(unit string) func() []byte {
	return sync.OnceValue(func() []byte { return bytes.Repeat([]byte(unit), 64<<10/len(unit)) })
}

// numbered is a block of n units, each with its number.
func numbered(n int, unit string) func() []byte {
	return sync.OnceValue(func() []byte {
		var all []byte
		for i := range n {
			all = fmt.Appendf(all, unit, i)
		}
		return all
	})
}

// many is more lines than are read of one answer.
const many = 520_000

// whole is an answer of one block that ends as it should.
func whole(begin string, block func() []byte) flood {
	return flood{begin, sync.OnceValue(func() []byte { return append(block(), "\n> "...) }), 1, true}
}

// floods are made once: to print their numbers takes longer than to read them.
var floods = sync.OnceValue(func() map[string]flood {
	stat := "# pxname,svname,scur,\n"
	wideHeader := "# pxname,svname"
	for i := range 497 {
		wideHeader += fmt.Sprintf(",c%d", i)
	}
	wideHeader += ",\n"
	endless := func(begin string, block func() []byte) flood { return flood{begin, block, 1 << 30, false} }
	long := func(begin string, block func() []byte) flood { return flood{begin, block, 60 * mebi, false} }
	repeated := func(unit string, n int) func() []byte {
		return func() []byte { return bytes.Repeat([]byte(unit), n) }
	}
	return map[string]flood{
		"60 MB of newlines":    long("", same("\n")),
		"prompts":              long("", same("\n> ")),
		"1 GB of lines":        endless("", same("3 web 1 w1 10.0.0.1 2\n")),
		"no newline":           endless("", same("x")),
		"short lines":          long("", same("a\n")),
		"bare replies":         long("", same("Server deleted.\n")),
		"short lines of state": long(hostileState, same("a\n")),
		"servers":              endless(hostileState, numbered(many, hostileServer)),
		"servers, whole":       whole(hostileState, numbered(99_000, hostileServer)),
		"wide rows, whole":     whole(wideHeader, repeated(strings.Repeat("x,", 500)+"\n", 15_000)),
		"short rows, whole":    whole(stat, repeated("web,b,1,\n", 400_000)),
		"sessions, whole":      whole("", numbered(400_000, "0x%x: a=1 b=2\n")),
		"columns":              endless("# ", same("c ")),
		"commas":               endless(stat, same("a,")),
		"short rows":           long(stat, same("a,b,1,\n")),
		"sessions":             long("", numbered(many, "0x%x: a=1 b=2\n")),
		"escapes":              long("", same("\x1b[2J\n\n")),
		"info":                 long(hostileInfo, numbered(many, "k%d: v\n")),
	}
})

func (f flood) writeTo(w io.Writer) {
	if _, err := io.WriteString(w, f.begin); err != nil {
		return
	}
	block := f.block()
	for sent := 0; sent < f.bytes; sent += len(block) {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// wrong says what is wrong with what a reader says of a flood: of one without an end, that
// it has more than is read. Prompts alone may be taken for answers; then there is nothing
// in them.
func (f flood) wrong(kind, reader, said string) string {
	has := func(text string) bool { return strings.Contains(said, text) }
	switch {
	case f.whole && reader == "raw" && said == "<nil>":
	case !strings.HasPrefix(said, "garbled: "):
		return "it is not said that the answer is garbled"
	case f.whole, has("the answer has more than "), has("more answers than the "):
	case kind == "prompts" && (has(`"" is no answer of HAProxy's`) || has("the answer ends after ")):
	default:
		return "it is not said that the answer has more than is read"
	}
	return ""
}

// hostile answers every line with a flood; whoever begins with a question who answers is
// told so before.
func hostile(t *testing.T, f flood) string {
	t.Helper()
	return haproxytest.Answer(t, "unix", func(conn net.Conn) {
		line := make([]byte, 1<<16)
		for {
			n, err := conn.Read(line)
			if err != nil {
				return
			}
			_ = conn.SetWriteDeadline(time.Now().Add(20 * time.Second))
			commands := strings.Split(strings.TrimSpace(string(line[:n])), ";")
			if commands[0] == "prompt" {
				io.WriteString(conn, "\n> ")
				commands = commands[1:]
			}
			if commands[0] == "show info" && (len(commands) > 1 || bytes.HasPrefix(line, []byte("prompt"))) {
				io.WriteString(conn, hostileInfo+"\n> ")
			}
			if len(commands) > 1 || commands[0] != "show info" || !bytes.HasPrefix(line, []byte("prompt")) {
				f.writeTo(conn)
				return
			}
		}
	}).String()
}

const (
	hostileReader = "SLOTSYNC_TEST_HOSTILE_READER"
	hostileSocket = "SLOTSYNC_TEST_HOSTILE_SOCKET"
)

// beHostileReader is the process that is measured by [TestMemoryUnderHostileAnswers].
func beHostileReader(t *testing.T, name string) {
	t.Helper()
	before := peak(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := readers()[name](ctx, os.Getenv(hostileSocket))
	fmt.Printf("\nKIB %d ERR %v\n", peak(t)-before, err)
	os.Exit(0) // it may still be reading on what nobody waits for
}

// peak is the largest resident set that this process ever had, in KiB.
func peak(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			return kib
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// Whatever HAProxy sends, and in whatever way it is read, no more memory is taken than
// twice what docs/limits.md says is read, and what a process needs at all.
func TestMemoryUnderHostileAnswers(t *testing.T) {
	if name := os.Getenv(hostileReader); name != "" {
		beHostileReader(t, name)
	}
	program := plainTests(t)
	for name := range readers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			worst, of, limit := 0, "", bound(name)*1024
			for kind, f := range floods() {
				kib, said := measure(t, program, name, hostile(t, f))
				if kib > limit {
					t.Errorf("%s: %d KiB, %d at most (%s)", kind, kib, limit, said)
				}
				if wrong := f.wrong(kind, name, said); wrong != "" {
					t.Errorf("%s: %s: %s", kind, wrong, said)
				}
				if kib > worst {
					worst, of = kib, kind+": "+said
				}
			}
			t.Logf("%d KiB of %d KiB (%s)", worst, limit, of)
		})
	}
}

// plainTests is the program of these tests without the race detector, whose memory is not
// what is measured.
func plainTests(t *testing.T) string {
	t.Helper()
	if !raceDetector {
		return os.Args[0]
	}
	path := filepath.Join(t.TempDir(), "plain.test")
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

func measure(t *testing.T, program, reader, socket string) (kib int, said string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestMemoryUnderHostileAnswers$")
	cmd.Env = append(os.Environ(), hostileReader+"="+reader, hostileSocket+"="+socket, "GOGC=50", "GOCOVERDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, text, _ := strings.Cut(string(out), "KIB ")
	number, text, _ := strings.Cut(text, " ERR ")
	said, _, _ = strings.Cut(text, "\n")
	if kib, err = strconv.Atoi(number); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return kib, said
}

// An answer without an end is given up at once, not when the time is over.
func TestHostileAnswersEndEarly(t *testing.T) {
	for kind, f := range floods() {
		t.Run(kind, func(t *testing.T) {
			timeout := 3 * time.Second
			if raceDetector {
				timeout = 15 * time.Second
			}
			c, err := haproxy.New(haproxy.Options{Socket: hostile(t, f), Timeout: timeout})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			for fault := slots.Restarted; fault == slots.Restarted; { // a whole flood was read before its connection ended: ask again
				_, err = c.View(ctx, []string{"web"}, true)
				fault, _ = slots.FaultOf(err)
			}
			if wrong := f.wrong(kind, "view", fmt.Sprint(err)); wrong != "" {
				t.Errorf("%s: %v", wrong, err)
			}
			if e, ok := errors.AsType[*slots.InstanceError](err); ok && len(e.Error()) > 500 {
				t.Errorf("an error of %d bytes", len(e.Error()))
			}
		})
	}
}
