package web_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/event"
	"github.com/slotsync/slotsync/discovery"
	"github.com/slotsync/slotsync/slots"
)

// evil is what a name would have to be to become more than a name.
const evil = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>\n</title>'`{{.}}"

var pageTime = time.Date(2030, 11, 21, 10, 15, 0, 0, time.UTC)

func endpoint(i int, name string) discovery.Endpoint {
	return discovery.Endpoint{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80), Name: name}
}

// filled is a backend with n slots, of which the first used are in use at two instances.
func filled(name, title string, n, used int) api.BackendStatus {
	b := api.BackendStatus{Name: name, Backend: name, Phase: "live"}
	for i := range n {
		s := api.SlotStatus{Name: fmt.Sprintf("srv%d", i+1), State: "free"}
		in := api.InstanceSlot{Weight: 100, Sessions: i % 3}
		if i < used {
			s.Endpoint, s.State, s.Title, s.From = endpoint(i, "").Addr.String(), "ready", title, []string{title}
			in.Address, in.State, in.Check = s.Endpoint, slots.Ready, "up"
		}
		for _, instance := range []string{"edge-1", "edge-2"} {
			in.Instance = instance
			s.Instances = append(s.Instances, in)
		}
		b.Slots = append(b.Slots, s)
	}
	return b
}

// small is a status with one of everything, and text in all of its texts.
func small(text string) api.Status {
	until := pageTime.Add(time.Hour)
	b := filled("web", text, 6, 4)
	b.Slots[1].Instances[0].Check = "down"
	b.Slots[2].Override, b.Slots[2].Instances[1].State = "drain by "+text, slots.Drain
	b.Slots[2].Instances[1].HeldBy, b.Slots[2].Instances[1].Reason = "operator", text
	b.Slots[3].Instances[0].Address, b.Slots[3].Instances[1].State = "10.9.9.9:80", slots.Maint
	b.Slots[3].Instances[1].LastReply = text
	b.Slots[5].Instances[1].Lacking = true
	b.Hold = &api.Hold{ID: "h1a2b3", Kind: "removal", Since: pageTime.Add(-time.Minute), ReleasesAt: until, WouldRemove: []string{text}}
	b.Takeover = &api.Hold{ID: "t1a2b3", Kind: "takeover", Since: pageTime.Add(-time.Minute), WouldRemove: []string{text}, BlocksWriting: true}
	b.Kept = []api.KeptSet{{ID: "k1a2b3", Source: text, Part: text, Reason: text, Since: pageTime.Add(-time.Minute),
		Endpoints: []string{b.Slots[0].Endpoint, text}, Yielded: []string{text}}}
	b.Overflow = []discovery.Endpoint{endpoint(9, text)}
	b.NeedReload = &api.NeedReload{Slots: 6, Wanted: 7, Why: text}
	b.Paused, b.PausedBy, b.Problem, b.Backend = &until, text, text, text
	b.Turnover = &api.Turnover{EndsAt: until, Leaving: []string{text}}
	return api.Status{
		Version: "1.2.3", At: pageTime, Started: pageTime.Add(-time.Hour), NotReady: []string{text}, Backends: []api.BackendStatus{b},
		Instances: []api.InstanceStatus{
			{Name: "edge-1", Socket: text, Up: true, InSync: true, Version: text, Pid: 42, LastError: text, Unloaded: []string{text}},
			{Name: "edge-2", LagSeconds: 1.5, External: 1},
		},
		Sources: []api.SourceStatus{{Name: text, Backend: "web", Asks: text, State: "failing", LastError: text, Note: text, InUse: true, Kept: 2,
			Parts: []api.PartStatus{{Name: text, State: "unknown", Reason: text}}, PartsMore: 1,
			Rejected: []discovery.Rejection{{Reason: text, Name: text, Value: text}}}},
		Reloads:   []api.ReloadStatus{{Name: text, Instances: []string{text}, Reason: text, Error: text, Last: &pageTime}},
		Overrides: []api.Override{{Backend: "web", Address: "10.0.0.2:80", Kind: api.OverrideState, By: text}},
		Pauses:    []api.Pause{{Backend: "web", By: text, Reason: text, Until: until}},
	}
}

func withEvents(f *fake, text string) *fake {
	f.events = event.New(time.UnixMilli(1))
	f.events.Add(api.Event{At: pageTime.Add(-35 * time.Second), Kind: api.EventSlotsChanged, Backend: "web", Instance: "edge-1", Text: text,
		Changes: map[string]int{"fill": 3}, Fields: map[string]string{"took": "3ms", "propagation": "4ms"}})
	f.events.Add(api.Event{At: pageTime.Add(-5 * time.Second), Kind: api.EventSourceFailing, Source: text, Text: text})
	return f
}

func pageFake(s api.Status, text string) *fake {
	f := newFake()
	f.status = s
	return withEvents(f, text)
}

// browse asks as a browser does.
func browse(t *testing.T, h http.Handler, target string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest("GET", target, nil)
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	return answered(t, h, r)
}

func answered(t *testing.T, h http.Handler, r *http.Request) (*http.Response, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), string(body)
}

func page(t *testing.T, s api.Status, target string) string {
	t.Helper()
	res, body := browse(t, newServer(t, options(pageFake(s, "so it is"))).Handler(true), target)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", res.Status, body)
	}
	return body
}

// elements are the start tags of a document.
func elements(t *testing.T, text string) []html.Token {
	t.Helper()
	z := html.NewTokenizer(strings.NewReader(text))
	var out []html.Token
	for {
		switch z.Next() {
		case html.ErrorToken:
			if z.Err() != io.EOF {
				t.Fatal(z.Err())
			}
			return out
		case html.StartTagToken, html.SelfClosingTagToken:
			out = append(out, z.Token())
		}
	}
}

// balanced reports the first element that is closed wrongly.
func balanced(text string) string {
	void := map[string]bool{"meta": true, "link": true, "input": true, "br": true}
	z := html.NewTokenizer(strings.NewReader(text))
	var open []string
	for {
		kind := z.Next()
		name, _ := z.TagName()
		switch {
		case kind == html.ErrorToken:
			return strings.Join(open, " ")
		case kind == html.StartTagToken && !void[string(name)]:
			open = append(open, string(name))
		case kind == html.EndTagToken && (len(open) == 0 || open[len(open)-1] != string(name)):
			return "</" + string(name) + "> after " + strings.Join(open, " ")
		case kind == html.EndTagToken:
			open = open[:len(open)-1]
		}
	}
}

func TestPageIsForBrowsersAlone(t *testing.T) {
	h := newServer(t, options(pageFake(small("x"), "x"))).Handler(true)
	for accept, want := range map[string]string{"": "text/plain", "*/*": "text/plain", "application/json": "text/plain", "text/html": "text/html"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", accept)
		if res, _ := answered(t, h, r); !strings.HasPrefix(res.Header.Get("Content-Type"), want) {
			t.Errorf("Accept %q is answered with %q", accept, res.Header.Get("Content-Type"))
		}
	}
}

func TestPageNamesWhatSomebodyElseTookOut(t *testing.T) {
	s := small("x")
	b := &s.Backends[0]
	for i := range b.Slots[:4] {
		b.Slots[i].Instances[1].HeldBy = "external"
	}
	b.Slots[2].Instances[1].Reason = "found so" // of which the override says nothing
	body := page(t, s, "/")
	if want := "set by somebody else: found so"; !strings.Contains(body, want) {
		t.Errorf("the page does not say %q", want)
	}
	if want := "Taken out by somebody else: srv1 at edge-2, srv2 at edge-2, srv3 at edge-2, 1 more"; !strings.Contains(body, want) {
		t.Errorf("the page does not say %q", want)
	}
}

// TestPageShowsWhatIsOldAsOld has an instance away whose slots were ready: nobody may
// take that for how they are.
func TestPageShowsWhatIsOldAsOld(t *testing.T) {
	s := small("x")
	for i := range s.Instances {
		s.Instances[i].Up = true
	}
	const old = "does not answer; last seen: "
	if body := page(t, s, "/"); strings.Contains(body, old) {
		t.Error("instances that answer are shown as away")
	}
	s.Instances[1].Up = false
	body := page(t, s, "/")
	want := s.Instances[1].Name + ": " + old
	if got := strings.Count(body, want); got != len(s.Backends[0].Slots) {
		t.Errorf("%d cells of %d say %q", got, len(s.Backends[0].Slots), want)
	}
}

func TestPageGolden(t *testing.T) {
	got := page(t, small("a text"), "/")
	const file = "testdata/page.html"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("the page is another one (UPDATE_GOLDEN=1 takes it as it is):\n%s", diff)
	}
}

func TestPageIsWellFormed(t *testing.T) {
	for name, text := range map[string]string{"plain": "a text", "hostile": evil} {
		body := page(t, small(text), "/")
		if wrong := balanced(body); wrong != "" {
			t.Errorf("%s: not closed as opened: %s", name, wrong)
		}
		ids := map[string]bool{}
		for _, e := range elements(t, body) {
			for _, a := range e.Attr {
				if a.Key == "id" && ids[a.Val] {
					t.Errorf("%s: two elements are called %q", name, a.Val)
				}
				ids[a.Val] = ids[a.Val] || a.Key == "id"
			}
		}
	}
}

func TestPageEscapes(t *testing.T) {
	s := small(evil)
	s.Backends[0].Name, s.Backends[0].Slots[0].Name, s.Backends[0].Slots[0].Endpoint = evil, evil, evil
	s.Backends[0].Slots[0].Instances[0].Instance, s.Instances[0].Name, s.Sources[0].Backend = evil, evil, evil
	f := pageFake(s, evil)
	h := newServer(t, options(f)).Handler(true)
	for _, target := range []string{"/", "/?filter=" + url.QueryEscape(`"><script>x</script>`), "/?open=" + url.QueryEscape(evil)} {
		_, body := browse(t, h, target)
		for _, e := range elements(t, body) {
			checkHarmless(t, e)
		}
	}
}

// checkHarmless wants no element that runs or loads anything but the page's own.
func checkHarmless(t *testing.T, e html.Token) {
	t.Helper()
	for _, a := range e.Attr {
		if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "srcdoc" || strings.HasPrefix(strings.ToLower(a.Val), "javascript:") {
			t.Errorf("<%s> has %s=%q", e.Data, a.Key, a.Val)
		}
		if e.Data == "script" && (a.Key != "src" && a.Key != "defer" || a.Key == "src" && a.Val != "/page/page.js") {
			t.Errorf("a script with %s=%q", a.Key, a.Val)
		}
	}
	if e.Data == "script" && len(e.Attr) == 0 || e.Data == "img" || e.Data == "style" || e.Data == "iframe" {
		t.Errorf("there is a %s", e)
	}
}

// TestPageTypedKeyDoesNothing: Enter in a field of a server's form presses the form's
// first button (HTML, implicit submission); it must be one that does nothing.
func TestPageTypedKeyDoesNothing(t *testing.T) {
	server, first, forms := false, false, 0
	for _, e := range elements(t, page(t, small("x"), "/")) {
		attr := map[string]string{}
		for _, a := range e.Attr {
			attr[a.Key] = a.Val
		}
		_, off := attr["disabled"]
		switch {
		case e.Data == "form":
			server, first = false, true
		case e.Data == "input" && attr["name"] == "server":
			server = true
		case e.Data == "button" && server && first:
			if forms++; !off {
				t.Errorf("Enter asks for %q", attr["value"])
			}
			first = false
		}
	}
	if forms != 5 {
		t.Errorf("there are %d forms of servers", forms)
	}
}

// TestPageAsksForItselfWhereItIs: without JavaScript it is asked for again, and a form that
// failed is answered at an address that cannot be.
func TestPageAsksForItselfWhereItIs(t *testing.T) {
	h := newServer(t, options(pageFake(small("x"), "x"))).Handler(true)
	_, body := sendForm(t, h, "do=burn&look=%2F%3Ffilter%3Dw", "text/html", nil)
	if want := `<meta http-equiv="refresh" content="10; url=/?filter=w">`; !strings.Contains(body, want) {
		t.Errorf("there is no %s in %.1000s", want, body)
	}
}

// TestPageSaysThatEventsAreNotShown, which is not that there are none.
func TestPageSaysThatEventsAreNotShown(t *testing.T) {
	f := pageFake(small("x"), "x")
	for {
		_, reader, err := f.events.Read(0)
		if err != nil {
			break
		}
		defer reader.Close()
	}
	_, body := browse(t, newServer(t, options(f)).Handler(true), "/")
	if !strings.Contains(body, "cannot be shown now: too many read events") || strings.Contains(body, "Nothing has happened") || strings.Contains(body, "0 in ten minutes") {
		t.Errorf("got %.3000s", body)
	}
}

func TestPagePolicy(t *testing.T) {
	h := newServer(t, options(pageFake(small("x"), "x"))).Handler(true)
	res, _ := browse(t, h, "/")
	const want = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
		"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	if got := res.Header.Get("Content-Security-Policy"); got != want {
		t.Errorf("the policy is %q", got)
	}
	for path, kind := range map[string]string{"/page/page.css": "text/css", "/page/page.js": "text/javascript"} {
		res, body := browse(t, h, path)
		if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), kind) || body == "" {
			t.Errorf("%s: %s, %s", path, res.Status, res.Header.Get("Content-Type"))
		}
	}
}

func TestPageFragmentIsItsMain(t *testing.T) {
	s := small("x")
	whole, part := page(t, s, "/"), page(t, s, "/?fragment=1")
	if !strings.Contains(whole, strings.TrimSpace(part)) || !strings.HasPrefix(part, "<main") {
		t.Errorf("the fragment is no part of the page:\n%s", part)
	}
}

// TestPageListsOverrides: also those of what nobody lists, and no more than can be read.
func TestPageListsOverrides(t *testing.T) {
	s := small("x")
	s.Overrides = []api.Override{
		{Address: "10.0.0.9", Kind: api.OverrideState, State: "maint", By: "ann", Reason: "disk"},
		{Backend: "web", Address: "10.0.0.9:80", Kind: api.OverrideWeight, Weight: "20%"},
		{Backend: "web", Address: "10.0.0.8:80", Kind: api.OverrideServer, By: "bob"},
	}
	body := page(t, s, "/")
	for _, want := range []string{"Asked for by operators: 3<", `<th scope="row">all</th><td class="mono">10.0.0.9</td>`, "maint by ann: disk", "weight 20%", "added by bob",
		`name="server" value="10.0.0.9"><button disabled`, `name="weight" value="source"><button disabled`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(body, `name="server" value="10.0.0.8:80"`) {
		t.Error("a server that was added is released")
	}
	for i := range 200 {
		s.Overrides = append(s.Overrides, api.Override{Backend: "web", Address: endpoint(i, "").Addr.String(), Kind: api.OverrideState, State: "drain"})
	}
	if body := page(t, s, "/"); !strings.Contains(body, "Asked for by operators: 200 and 3 more") || !strings.Contains(body, "slotsync status") || strings.Contains(body, "o-state-web-10.0.0.199:80") {
		t.Error("203 are not cut to 200, or it does not say so")
	}
}
