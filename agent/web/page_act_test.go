package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPageForms(t *testing.T) {
	const server = "backend=web&server=10.0.0.1:80"
	for form, want := range map[string]string{
		"do=drain&for=10m&reason=disk&" + server:           "state web/10.0.0.1:80 drain {By:the page Reason:disk For:10m0s Keep:false}",
		"do=maint&" + server:                               "state web/10.0.0.1:80 maint {By:the page Reason: For:0s Keep:false}",
		"do=ready&" + server:                               "state web/10.0.0.1:80 ready {By:the page Reason: For:0s Keep:false}",
		"do=weight&weight=20%25&" + server:                 `weight web/10.0.0.1:80 "20%" {By:the page Reason: For:0s Keep:false}`,
		"do=weight&weight=source&" + server:                `weight web/10.0.0.1:80 "" {By:the page Reason: For:0s Keep:false}`,
		"do=ready&backend=&server=10.0.0.1":                "state 10.0.0.1 ready {By:the page Reason: For:0s Keep:false}",
		"do=weight&weight=source&backend=&server=10.0.0.1": `weight 10.0.0.1 "" {By:the page Reason: For:0s Keep:false}`,
		"do=accept&backend=web&id=h1a2b3":                  "accept web h1a2b3 by the page",
		"do=pause&for=1h":                                  `pause "" false {By:the page Reason: For:1h0m0s Keep:false}`,
		"do=resume&backend=web":                            `resume "web"`,
	} {
		for accept, code := range map[string]int{"text/html": http.StatusSeeOther, "application/json": http.StatusNoContent} {
			f := pageFake(small("x"), "x")
			res, body := sendForm(t, newServer(t, options(f)).Handler(true), form+"&look=%2F%3Ffilter%3Dw", accept, nil)
			if got := f.changes(); res.StatusCode != code || len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s %v %s", form, res.Status, got, body)
			}
			if to := res.Header.Get("Location"); code == http.StatusSeeOther && !strings.HasPrefix(to, "/?filter=w") {
				t.Errorf("%s leads to %q", form, to)
			}
		}
	}
}

func sendForm(t *testing.T, h http.Handler, form, accept string, header http.Header) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest("POST", "/page/act", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", accept)
	if header == nil {
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for name, values := range header {
		r.Header[name] = values
	}
	return answered(t, h, r)
}

func TestPageFormsSayWhatIsWrong(t *testing.T) {
	for form, code := range map[string]int{
		"do=drain&backend=web&server=web9": http.StatusNotFound, "do=burn": http.StatusBadRequest, "do=ready&server=web1": http.StatusBadRequest,
		"do=weight&weight=&server=10.0.0.1": http.StatusBadRequest, "": http.StatusBadRequest,
		"do=weight&backend=web&server=web1&weight=": http.StatusBadRequest,
		"do=pause&for=long":                         http.StatusBadRequest, "do=accept&backend=api": http.StatusNotFound, "do=accept&backend=web": http.StatusConflict, "do=resume&backend=api": http.StatusConflict,
	} {
		h := newServer(t, options(pageFake(small("x"), "x"))).Handler(true)
		res, body := sendForm(t, h, form, "text/html", nil)
		if res.StatusCode != code || !strings.Contains(body, `<p id="said" role="status">`) || strings.Contains(body, `role="status"></p>`) {
			t.Errorf("%q: %s", form, res.Status)
		}
		if res, body := sendForm(t, h, form, "application/json", nil); res.StatusCode != code || !strings.Contains(body, `"detail"`) {
			t.Errorf("%q: %s %s", form, res.Status, body)
		}
	}
}

func TestPageRefusesFormsOfOthers(t *testing.T) {
	f := pageFake(small("x"), "x")
	h := newServer(t, options(f)).Handler(true)
	for _, header := range []http.Header{
		{"Sec-Fetch-Site": {"cross-site"}}, {"Origin": {"http://example.org"}}, {"Origin": {"null"}}, {"Sec-Fetch-Site": {"same-site"}},
	} {
		if res, _ := sendForm(t, h, "do=pause", "text/html", header); res.StatusCode != http.StatusForbidden {
			t.Errorf("%v: %s", header, res.Status)
		}
	}
	if got := f.changes(); len(got) != 0 {
		t.Errorf("they did %v", got)
	}
}
