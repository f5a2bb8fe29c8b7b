package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/slotsync/slotsync/slots/haproxy/haproxytest"
)

// hostileName is what a service calls itself that would like to run in a browser.
const hostileName = `<script>document.title='taken'</script><img src=x onerror="document.title='taken'">`

// pageToken is shown on the page to sign in.
const pageToken = "a-token-for-the-page"

// browserPatience is how long one thing may take in a browser.
const browserPatience = 45 * time.Second

// A pageRig is the program, two HAProxies that it fills, and a browser.
type pageRig struct {
	t       *testing.T
	edges   []*haproxytest.Process
	folder  string // of the endpoints
	url     string
	token   string // the file that it is in
	browser context.Context
	mu      sync.Mutex
	wrong   []string // what the browser complained of
}

// newPageRig has n endpoints of api; it has no browser yet.
func newPageRig(t *testing.T, n int) *pageRig {
	t.Helper()
	r := &pageRig{t: t, folder: t.TempDir()}
	backends := []haproxytest.Backend{{Name: "web", Slots: 30}, {Name: "api", Slots: 6}, {Name: "billing", Slots: 4}}
	for range 2 {
		r.edges = append(r.edges, haproxytest.Start(t, haproxytest.Config{Version: haproxytest.Versions[1], Backends: backends}))
	}
	r.list("web", 18)
	r.list("api", n)
	r.startAgent()
	return r
}

// inBrowser is a rig with a browser.
func inBrowser(t *testing.T) *pageRig {
	t.Helper()
	r := newPageRig(t, 8)
	r.browser = r.openBrowser()
	return r
}

// list has n endpoints listed of a service; the first one has a hostile name.
func (r *pageRig) list(service string, n int) {
	r.t.Helper()
	var text strings.Builder
	for i := range n {
		name := fmt.Sprintf("%s-%d", service, i)
		if i == 0 {
			name = hostileName
		}
		fmt.Fprintf(&text, "- targets: [\"127.0.0.9:%d\"]\n  labels: {name: %q}\n", 8000+i, name)
	}
	file := filepath.Join(r.folder, service+".yaml")
	if err := os.WriteFile(file+".new", []byte(text.String()), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		r.t.Fatal(err)
	}
}

// startAgent runs the program until the test ends, and waits until it is ready.
func (r *pageRig) startAgent() {
	t := r.t
	r.token = filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(r.token, []byte(pageToken), 0o600); err != nil {
		t.Fatal(err)
	}
	listen := fmt.Sprintf("127.0.0.1:%d", haproxytest.FreePort(t))
	r.url = "http://" + listen + "/"
	config := fmt.Sprintf(`haproxy:
  instances: [{name: edge-1, socket: %s}, {name: edge-2, socket: %s}]
state_dir: %s
http: {listen: %q, socket: "", token_file: %s}
sources:
  - {name: files, type: file, path: %s/*.yaml}
  - {name: consul, type: consul, address: http://127.0.0.1:%d}
backends:
  - {name: web, source: files, service: web}
  - {name: api, source: files, service: api}
  - {name: billing, source: consul, service: billing}
`, r.edges[0].Socket, r.edges[1].Socket, t.TempDir(), listen, r.token, r.folder, haproxytest.FreePort(t))
	file := filepath.Join(t.TempDir(), "slotsync.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	program := exec.Command("slotsync", "run", "--config", file)
	program.Stdout, program.Stderr = &out, &out
	program.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runProgram(t, program, out.String)
	eventually(t, 20*time.Second, func() string {
		if got := ready(t, r.edges[0].Socket, "web"); len(got) != 18 {
			return fmt.Sprintf("ready are %v", got)
		}
		return ""
	})
}

// openBrowser starts a headless Chromium and notes what it complains of.
func (r *pageRig) openBrowser() context.Context {
	t := r.t
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("there is no chromium: run make deps")
	}
	flags := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.NoFirstRun, chromedp.NoSandbox, chromedp.Headless, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(time.Minute)}
	for _, flag := range []string{"disable-background-networking", "disable-component-update", "disable-sync", "disable-extensions", "no-proxy-server", "disable-dev-shm-usage"} {
		flags = append(flags, chromedp.Flag(flag, true))
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), flags...)
	browser, closed := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		_ = chromedp.Cancel(browser) // it may be gone
		closed()
		stop()
	})
	if err := errors.Join(chromedp.Do(browser), chromedp.Listen(browser, r.hear)); err != nil { // the browser ends with the context of the first call
		t.Fatal(err)
	}
	act(t, browser, order(log.Enable, cdp.Empty{}), chromedp.EmulateViewport(1280, 900), chromedp.Navigate(r.url), chromedp.WaitVisible("#b-web"))
	return browser
}

func (r *pageRig) hear(event any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		r.wrong = append(r.wrong, string(e.Entry.Level)+": "+e.Entry.Text+" "+e.Entry.URL)
	case *runtime.EventExceptionThrown:
		r.wrong = append(r.wrong, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		r.wrong = append(r.wrong, "console: "+string(e.Type))
	}
}

// order sends the browser a command.
func order[P, R any](cmd cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, cmd, params)
		return err
	})
}

// act does things in the browser.
func act(t *testing.T, browser context.Context, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(browser, browserPatience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// evaluate returns what an expression is in the page.
func evaluate[T any](t *testing.T, browser context.Context, js string) T {
	t.Helper()
	return taken(t, browser, chromedp.Evaluate[T](js))
}

// taken returns what an action does.
func taken[T any](t *testing.T, browser context.Context, action chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(browser, browserPatience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// shows waits until an expression is true in the page, and returns how long that took.
func (r *pageRig) shows(within time.Duration, js string) time.Duration {
	r.t.Helper()
	began := time.Now()
	eventually(r.t, within, func() string {
		if evaluate[bool](r.t, r.browser, js) {
			return ""
		}
		return js + " is not true of:\n" + evaluate[string](r.t, r.browser, "document.body?.innerText ?? ''")
	})
	return time.Since(began)
}

// rowOf is the row of an endpoint of web.
func rowOf(port int) string {
	return fmt.Sprintf(`[...document.querySelectorAll('#b-web .slots tbody tr')].find(r => r.innerText.includes('127.0.0.9:%d'))`, port)
}

// TestPage has a browser look at the page of the real program over real HAProxies, and
// use it.
func TestPage(t *testing.T) {
	r := inBrowser(t)
	for _, part := range []struct {
		name string
		test func(*testing.T)
	}{
		{"signs in", r.testSignsIn}, {"shows what is there", r.testShows}, {"stays current", r.testCurrent}, {"drains and releases", r.testDrains},
		{"releases an address", r.testReleases},
		{"is used by keyboard", r.testKeyboard}, {"keeps what is typed", r.testKeeps}, {"is photographed", r.testShots},
		{"does without JavaScript", r.testPlain},
	} {
		t.Run(part.name, part.test)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.wrong) > 0 {
		t.Errorf("the browser complained:\n%s", strings.Join(r.wrong, "\n"))
	}
}

// testSignsIn looks at the page as somebody who may only read, and signs in.
func (r *pageRig) testSignsIn(t *testing.T) {
	const buttons = `[...document.querySelectorAll('.act button:not([hidden])')].filter(b => b.offsetParent !== null).length`
	if n := evaluate[int64](t, r.browser, buttons); n != 0 {
		t.Errorf("%d buttons are shown to who may only look", n)
	}
	act(t, r.browser, chromedp.Click("#d-sign-in summary"), chromedp.Focus("#token [name=secret]"), chromedp.KeyEvent(pageToken), chromedp.KeyEvent(kb.Enter))
	r.shows(10*time.Second, `document.querySelector('#who')?.innerText.includes("As the token's holder you may do everything here.") === true`)
	if n := evaluate[int64](t, r.browser, buttons); n == 0 {
		t.Error("no buttons are shown to who has signed in")
	}
	if c := evaluate[string](t, r.browser, `document.cookie`); c != "" {
		t.Errorf("scripts can read %q", c)
	}
}

func (r *pageRig) testShows(t *testing.T) {
	for what, js := range map[string]string{
		"a row for each instance":     `document.querySelectorAll('#b-web .map tbody tr').length === 2`,
		"a cell for each slot":        `document.querySelectorAll('#b-web .map tbody td').length === 60`,
		"a hostile name, as text":     `document.body.innerText.includes("<script>document.title='taken'</script>")`,
		"its own title":               `document.title.includes('slotsync')`,
		"overflow in words":           `document.querySelector('#b-api .troubles').innerText.includes('2 endpoints without a slot')`,
		"landmarks and no other main": `document.querySelectorAll('main').length === 1`,
	} {
		if !evaluate[bool](t, r.browser, js) {
			t.Errorf("there is no %s: %s", what, evaluate[string](t, r.browser, "document.body.innerText"))
		}
	}
}

func (r *pageRig) testCurrent(t *testing.T) {
	r.shows(15*time.Second, `document.querySelector('#b-web .counts').innerText.includes('18 ready')`)
	r.list("web", 20)
	eventually(t, 10*time.Second, func() string {
		if n := len(ready(t, r.edges[0].Socket, "web")); n != 20 {
			return fmt.Sprintf("%d are ready", n)
		}
		return ""
	})
	took := r.shows(5*time.Second, `document.querySelector('#b-web .counts').innerText.includes('20 ready')`)
	t.Logf("shown %s after HAProxy has it", took)
	if took > time.Second {
		t.Errorf("shown %s after HAProxy has it", took)
	}
	r.shows(2*time.Second, `document.querySelector('#events').innerText.includes('slots changed')`)
}

func (r *pageRig) testDrains(t *testing.T) {
	act(t, r.browser, chromedp.Evaluate[chromedp.Void](rowOf(8003)+`.querySelector('button[value=drain]').click()`))
	r.served(t, "127.0.0.9:8003", false)
	r.shows(5*time.Second, rowOf(8003)+`.innerText.includes("drain by the token's holder (the page)")`)
	act(t, r.browser, chromedp.Evaluate[chromedp.Void](rowOf(8003)+`.querySelector('button[value=ready]').click()`))
	r.served(t, "127.0.0.9:8003", true)
	r.shows(5*time.Second, `!`+rowOf(8003)+`.innerText.includes("drain by the token's holder (the page)")`)
}

// overridesList is the list of what operators asked for.
const overridesList = `document.querySelector('#d-overrides')`

// command asks the agent for something.
func (r *pageRig) command(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("slotsync", append(args, "--agent", r.url, "--token-file", r.token)...).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
}

// testReleases ends what somebody asked for an address on all backends.
func (r *pageRig) testReleases(t *testing.T) {
	r.command(t, "server", "stop", "--address", "127.0.0.9", "--reason", "the host goes")
	r.served(t, "127.0.0.9:8003", false)
	list := overridesList
	r.shows(5*time.Second, list+`?.innerText.includes("Asked for by operators: 1") === true`)
	act(t, r.browser, chromedp.Evaluate[chromedp.Void](list+`.open = true`))
	r.shows(5*time.Second, list+`.innerText.includes('the host goes')`)
	act(t, r.browser, chromedp.Evaluate[chromedp.Void](list+`.querySelector('button[value=ready]').click()`))
	r.served(t, "127.0.0.9:8003", true)
	r.shows(5*time.Second, list+` === null`)
}

// served waits until both HAProxies send an endpoint traffic, or do so no more.
func (r *pageRig) served(t *testing.T, endpoint string, want bool) {
	t.Helper()
	eventually(t, 10*time.Second, func() string {
		for _, e := range r.edges {
			if strings.Contains(strings.Join(ready(t, e.Socket, "web"), " "), endpoint) != want {
				return fmt.Sprintf("ready is %s: %t", endpoint, !want)
			}
		}
		return ""
	})
}

// testKeyboard goes from the head of a column to the row of its slot and drains it,
// with nothing but keys.
func (r *pageRig) testKeyboard(t *testing.T) {
	act(t, r.browser, chromedp.Evaluate[chromedp.Void](`document.querySelector('#b-web .map').closest('.wide').focus()`))
	slot := ""
	for range 6 {
		act(t, r.browser, chromedp.KeyEvent(kb.Tab))
		if slot = evaluate[string](t, r.browser, `document.activeElement.closest('.map') ? document.activeElement.getAttribute('href') : ''`); slot != "" {
			break
		}
	}
	if slot == "" {
		t.Fatal("no key leads to a slot")
	}
	act(t, r.browser, chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent(kb.Tab))
	at := evaluate[string](t, r.browser, `document.activeElement.getAttribute('aria-label') || ''`)
	endpoint, ok := strings.CutPrefix(at, "Drain ")
	if !ok {
		t.Fatalf("from %s, Tab leads to %q", slot, at)
	}
	act(t, r.browser, chromedp.KeyEvent(kb.Enter))
	r.served(t, endpoint, false)
	r.shows(5*time.Second, fmt.Sprintf(`document.activeElement.getAttribute('aria-label') === %q`, "Release "+endpoint))
	act(t, r.browser, chromedp.KeyEvent(kb.Enter))
	r.served(t, endpoint, true)
}

// testKeeps has the page change under somebody who fills in a form.
func (r *pageRig) testKeeps(t *testing.T) {
	more := rowOf(8005) + `.querySelector('details')`
	act(t, r.browser, chromedp.Evaluate[chromedp.Void](more+`.open = true; `+rowOf(8005)+`.querySelector('[name=reason]').focus()`), chromedp.KeyEvent("a reason"), chromedp.KeyEvent(kb.Enter))
	r.list("web", 22)
	r.shows(10*time.Second, `document.querySelector('#b-web .counts').innerText.includes('22 ready')`)
	if !evaluate[bool](t, r.browser, more+`.open && document.activeElement.value === 'a reason'`) {
		t.Error("what was opened and typed is lost")
	}
	if evaluate[bool](t, r.browser, rowOf(8005)+`.innerText.includes('(the page)')`) || !slices.Contains(ready(t, r.edges[0].Socket, "web"), "127.0.0.9:8005") {
		t.Error("Enter in a field drains")
	}
	act(t, r.browser, chromedp.Evaluate[chromedp.Void](more+`.open = false`), chromedp.Focus("#filter"), chromedp.KeyEvent("billing"))
	r.shows(5*time.Second, `document.querySelectorAll('.backend').length === 1 && document.activeElement.id === 'filter' && location.search === '?filter=billing'`)
	act(t, r.browser, chromedp.Evaluate[chromedp.Void](`const f = document.getElementById('filter'); f.value = ''; f.dispatchEvent(new Event('input', {bubbles: true}))`))
	r.shows(5*time.Second, `document.querySelectorAll('.backend').length === 3`)
	act(t, r.browser, chromedp.Click("#t-web"))
	r.shows(5*time.Second, `document.querySelectorAll('#b-web .map').length === 0 && document.activeElement.id === 't-web'`)
	act(t, r.browser, chromedp.Click("#t-web"))
	r.shows(5*time.Second, `document.querySelectorAll('#b-web .map').length === 1`)
}

// testShots writes pictures into $SLOTSYNC_SHOTS, and wants nothing to stick out of the
// page, which no width may let it do.
func (r *pageRig) testShots(t *testing.T) {
	folder := os.Getenv("SLOTSYNC_SHOTS")
	r.command(t, "server", "drain", "web/127.0.0.9:8004", "--for", "30m", "--reason", "the host is given a new kernel: "+strings.Repeat("long", 30))
	r.shows(5*time.Second, overridesList+` !== null`)
	act(t, r.browser, chromedp.Evaluate[chromedp.Void](overridesList+`.open = true`))
	for _, width := range []int64{1280, 390} {
		for _, theme := range []string{"light", "dark"} {
			feature := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}
			act(t, r.browser, order(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: feature}), chromedp.EmulateViewport(width, 900))
			if wide := evaluate[int64](t, r.browser, `document.documentElement.scrollWidth`); wide > width {
				t.Errorf("at a width of %d the page is %d wide", width, wide)
			}
			if folder == "" {
				continue
			}
			png := taken(t, r.browser, chromedp.FullScreenshot(100))
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%d-%s.png", width, theme)), png, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	act(t, r.browser, order(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{}), chromedp.EmulateViewport(1280, 900))
}

// testPlain drains with a form, as a browser without JavaScript sends it.
func (r *pageRig) testPlain(t *testing.T) {
	plain, closed := chromedp.NewContext(r.browser)
	defer closed()
	row := `//article[@id='b-web']//tr[contains(., '127.0.0.9:8007')]`
	if err := chromedp.Do(plain); err != nil {
		t.Fatal(err)
	}
	act(t, plain, order(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}), chromedp.Navigate(r.url), chromedp.WaitVisible(row), chromedp.Click(row+`//button[@value='drain']`))
	r.served(t, "127.0.0.9:8007", false)
	// it is shown at once, or when the page asks for itself again
	act(t, plain, chromedp.WaitVisible(row+`//td[contains(., "holder (the page)")]`))
	// The page may be asking for itself again under the pointer: like a person, click
	// again if nothing comes of it.
	eventually(t, 30*time.Second, func() string {
		brief, cancel := context.WithTimeout(plain, 2*time.Second)
		defer cancel()
		_ = chromedp.Do(brief, chromedp.Click(row+`//button[@value='ready']`)) // there is none once it is ready
		if got := ready(t, r.edges[0].Socket, "web"); !slices.Contains(got, "127.0.0.9:8007") {
			return fmt.Sprintf("ready are %q", got)
		}
		return ""
	})
	r.served(t, "127.0.0.9:8007", true)
}
