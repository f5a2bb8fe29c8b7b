package web_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/slotsync/slotsync/agent/web/auth"
)

// A browser keeps cookies and says where its forms come from.
type browser struct {
	t    *testing.T
	http *http.Client
	base string
}

func newBrowser(t *testing.T, base string, by *http.Client) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Jar: jar, Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if by != nil {
		c.Transport = by.Transport
	}
	t.Cleanup(c.CloseIdleConnections)
	return &browser{t, c, base}
}

// do sends a form if there is one, else it asks.
func (b *browser) do(path, form string, header ...string) (*http.Response, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.base+path, nil)
	if form != "" {
		req, err = http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.base+path, strings.NewReader(form))
	}
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", b.base)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		if value == "" {
			req.Header.Del(name)
			continue
		}
		req.Header.Set(name, value)
	}
	resp, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp, string(body)
}

// status is what do is answered with.
func (b *browser) status(path, form string, header ...string) int {
	b.t.Helper()
	resp, _ := b.do(path, form, header...)
	return resp.StatusCode
}

func (b *browser) signIn(form string) *http.Cookie {
	b.t.Helper()
	resp, body := b.do("/page/sign-in", form)
	if resp.StatusCode != http.StatusSeeOther || len(resp.Cookies()) != 1 {
		b.t.Fatalf("%s, %d cookies: %s", resp.Status, len(resp.Cookies()), body)
	}
	return resp.Cookies()[0]
}

const drainForm = "do=drain&backend=web&server=web1"

// TestSignIn by token or password: the cookie gives the rights of what was shown, to
// nothing but the page's own forms, and until that changes.
func TestSignIn(t *testing.T) {
	a := newAuthority(t, "ca")
	current, reading := "secret", "readers"
	f := newFake()
	o := options(f)
	o.Loopback, o.Listen = auth.LoopbackRead, "127.0.0.1:0"
	o.Token, o.ReadToken = func() string { return current }, func() string { return reading }
	o.Config = a.write("web.yml", a.serverTLS(", client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.crt"))
	base := "https://" + serve(t, o).Addr()
	b := newBrowser(t, base, a.client(nil, ""))
	if _, body := b.do("/", ""); !strings.Contains(body, "You may look here, and change nothing.") || !strings.Contains(body, `id="d-sign-in"`) || !strings.Contains(body, `class="looks"`) {
		t.Errorf("got %.2000s", body)
	}
	if code := b.status("/page/act", drainForm); code != http.StatusForbidden {
		t.Errorf("before: %d", code)
	}
	if resp, body := b.do("/page/sign-in", "secret=Secret"); resp.StatusCode != http.StatusForbidden || len(resp.Cookies()) > 0 || !strings.Contains(body, "neither the token") {
		t.Errorf("a wrong one: %s %d cookies", resp.Status, len(resp.Cookies()))
	}
	b.signIn("secret=readers")
	if _, body := b.do("/", ""); !strings.Contains(body, "As the reading token&#39;s holder you may look here, and change nothing.") || b.status("/page/act", drainForm) != http.StatusForbidden {
		t.Errorf("with the reading token: %.2000s", body)
	}
	c := b.signIn("secret=secret&look=%2F%3Ffilter%3Dw")
	if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.MaxAge != 3600 || c.Path != "/" || len(c.Value) < 26 || strings.Contains(c.Value, "secret") {
		t.Errorf("the cookie is %+v", c)
	}
	if _, body := b.do("/", ""); !strings.Contains(body, "As the token&#39;s holder you may do everything here.") || !strings.Contains(body, "Sign out") || strings.Contains(body, `class="looks"`) {
		t.Errorf("got %.2000s", body)
	}
	for form, want := range map[string]int{drainForm: http.StatusSeeOther, drainForm + "&look=x": http.StatusSeeOther} {
		if code := b.status("/page/act", form); code != want {
			t.Errorf("signed in: %d", code)
		}
	}
	for _, header := range []string{"Origin: https://evil.example", "Origin: ", "Origin: null", "Sec-Fetch-Site: cross-site"} {
		if code := b.status("/page/act", drainForm, header); code != http.StatusForbidden {
			t.Errorf("%s: %d", header, code)
		}
	}
	if code := b.status("/v1/haproxy/config", ""); code != http.StatusOK {
		t.Errorf("the configuration: %d", code)
	}
	want := "state web/web1 drain {By:the token's holder (the page) Reason: For:0s Keep:false}"
	if did := f.changes(); len(did) != 2 || did[0] != want {
		t.Errorf("done: %q", did)
	}
	current = "another"
	if code := b.status("/page/act", drainForm); code != http.StatusForbidden {
		t.Errorf("after the token has changed: %d", code)
	}
	current = "secret"
	if code := b.status("/page/act", drainForm); code != http.StatusForbidden {
		t.Errorf("a session that has ended is there again: %d", code)
	}
	kept := b.signIn("secret=secret")
	if code := b.status("/page/sign-out", "look=x", "Origin: https://evil.example"); code != http.StatusForbidden {
		t.Errorf("signed out by somebody else: %d", code)
	}
	if code := b.status("/page/sign-out", "look=x"); code != http.StatusSeeOther {
		t.Errorf("signing out: %d", code)
	}
	if code := b.status("/page/act", drainForm, "Cookie: "+kept.Name+"="+kept.Value); code != http.StatusForbidden {
		t.Errorf("with the cookie of who has signed out: %d", code)
	}
}

// TestSignInWithAPassword: the file is asked, and asked again with every request.
func TestSignInWithAPassword(t *testing.T) {
	a := newAuthority(t, "ca")
	f := newFake()
	o := options(f)
	o.Listen, o.Config = "127.0.0.1:0", a.write("web.yml", users)
	resp, body := newBrowser(t, "http://"+serve(t, o).Addr(), nil).do("/", "")
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, `name="user"`) {
		t.Errorf("who may read sees %s: %s", resp.Status, body)
	}
	o.Loopback = auth.LoopbackNone
	s := serve(t, o)
	b := newBrowser(t, "http://"+s.Addr(), nil)
	resp, body = b.do("/", "")
	if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(body, `name="user"`) || resp.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("%s, WWW-Authenticate %q: %s", resp.Status, resp.Header.Get("WWW-Authenticate"), body)
	}
	for _, form := range []string{"user=ann&secret=Secret", "user=bob&secret=secret", "user=ann", "secret=secret", "user=&secret="} {
		if resp, _ := b.do("/page/sign-in", form); resp.StatusCode != http.StatusForbidden || len(resp.Cookies()) > 0 {
			t.Errorf("%s: %s", form, resp.Status)
		}
	}
	if c := b.signIn("user=ann&secret=secret"); c.Secure || !c.HttpOnly {
		t.Errorf("the cookie is %+v", c)
	}
	if _, body := b.do("/", ""); !strings.Contains(body, "As ann you may do everything here.") {
		t.Errorf("got %.2000s", body)
	}
	if code := b.status("/page/act", drainForm); code != http.StatusSeeOther {
		t.Errorf("signed in: %d", code)
	}
	if code := b.status("/v1/status", "", annWrong); code != http.StatusUnauthorized {
		t.Errorf("signed in, and a wrong password: %d", code)
	}
	if did := f.changes(); len(did) != 1 || !strings.Contains(did[0], "By:ann (the page)") {
		t.Errorf("done: %q", did)
	}
	a.write("web.yml", strings.ReplaceAll(users, "ann:", "bob:"))
	if code := b.status("/v1/status", ""); code != http.StatusUnauthorized {
		t.Errorf("when she is no user any more: %d", code)
	}
	a.write("web.yml", users)
	if code := b.status("/v1/status", ""); code != http.StatusUnauthorized {
		t.Errorf("a session that has ended is there again: %d", code)
	}
}

// TestSessionOfOnePort is no session at another: browsers show a cookie to both.
func TestSessionOfOnePort(t *testing.T) {
	var bases []string
	for range 2 {
		o := options(newFake())
		o.Listen, o.Token = "127.0.0.1:0", token("secret")
		bases = append(bases, "http://"+serve(t, o).Addr())
	}
	b := newBrowser(t, bases[0], nil)
	c := b.signIn("secret=secret")
	u, err := url.Parse(bases[1])
	if err != nil || len(b.http.Jar.Cookies(u)) != 1 {
		t.Fatalf("the browser does not show it there: %v", err)
	}
	b.base = bases[1]
	for _, header := range []string{"Accept: text/html", "Cookie: " + strings.Replace(c.Name, u.Port(), "", 1) + u.Port() + "=" + c.Value} {
		if code := b.status("/page/act", drainForm, header); code != http.StatusForbidden {
			t.Errorf("%s: %d", header, code)
		}
	}
}
