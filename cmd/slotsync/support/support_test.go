package support

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestMask(t *testing.T) {
	m := NewMask([]string{"s3cr3t\n", "s3cr3t-and-more", "abc", "", `a&b"c<d`})
	for text, want := range map[string]string{
		"a s3cr3t-and-more, a s3cr3t, an abc":          "a [secret], a [secret], an abc",
		`a&b"c<d {"x":"a\u0026b\"c\u003cd"}`:           `[secret] {"x":"[secret]"}`,
		"http://ann:pass@127.0.0.1/x http://h:8500/":   "http://ann:[secret]@127.0.0.1/x http://h:8500/",
		"Authorization: Bearer abcdefgh12345":          "Authorization: [secret] [secret]",
		`{"token": "longtoken", "token_file": "/x"}`:   `{"token": "[secret]", "token_file": "/x"}`,
		"CONSUL_HTTP_TOKEN=aaaa-bbbb next":             "CONSUL_HTTP_TOKEN=[secret] next",
		"token_file: /etc/slotsync/consul.token":       "token_file: /etc/slotsync/consul.token",
		`CONSUL_HTTP_ADDR="ann:p/a@ss@127.0.0.1:8500"`: `CONSUL_HTTP_ADDR="ann:[secret]@127.0.0.1:8500"`,
		"sh -c 'curl -u ann:pass http://h/'":           "sh -c 'curl -u ann:[secret] http://h/'",
		"web1 [2001:db8::1]:80 at 10.0.0.1:80, 12:30":  "web1 [2001:db8::1]:80 at 10.0.0.1:80, 12:30",
	} {
		if got := string(m.Text([]byte(text))); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestWordSecrets(t *testing.T) {
	words := []string{"curl", "-u", "ann:pass", "--token=abcd", "--api-key", "k1k1", "-X", "POST", "--user", "bob", "--max-time", "9", "http://h/", "--password"}
	if got := strings.Join(WordSecrets(words), " "); got != "pass abcd k1k1" {
		t.Errorf("%q", got)
	}
}

func TestEnvironmentShowsNoSecrets(t *testing.T) {
	env := map[string]string{"CONSUL_HTTP_TOKEN": "tttttt", "CONSUL_HTTP_ADDR": "127.0.0.1:8500", "CONSUL_HTTP_AUTH": "ann:pppp", "AWS_SECRET": "zzzz", "HOME": "/root"}
	var b bytes.Buffer
	Environment(env, &b)
	want := "CONSUL_HTTP_ADDR=\"127.0.0.1:8500\"\nCONSUL_HTTP_AUTH=\"[secret]\"\nCONSUL_HTTP_TOKEN=\"[secret]\"\n"
	if b.String() != want {
		t.Errorf("%s", b.String())
	}
	if got := NewMask(EnvironmentSecrets(env)).Text([]byte("tttttt pppp zzzz")); string(got) != "[secret] [secret] [secret]" {
		t.Errorf("%s", got)
	}
}

func TestWrite(t *testing.T) {
	var b bytes.Buffer
	var failed []string
	err := Write(t.Context(), &b, "x", []Item{
		{"good", func(_ context.Context, w io.Writer) error { _, err := io.WriteString(w, "fine s3cr3t"); return err }},
		{"bad", func(_ context.Context, w io.Writer) error { fmt.Fprint(w, "half"); return errors.New("no luck") }},
	}, NewMask([]string{"s3cr3t"}), func(name string, err error) { failed = append(failed, name+": "+err.Error()) })
	if err != nil || strings.Join(failed, ", ") != "bad: no luck" {
		t.Fatalf("%v, %q", err, failed)
	}
	packed, err := gzip.NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(packed)
	for _, want := range []string{"x/good fine [secret]", "x/bad half\nerror: no luck\n"} {
		header, err := archive.Next()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil || header.Mode != 0o600 || !strings.HasPrefix(header.Name+" "+string(text), want) {
			t.Errorf("%v, %s %o, want %s", err, header.Name, header.Mode, want)
		}
	}
}

func TestBounded(t *testing.T) {
	b := bounded{room: 5}
	for _, text := range []string{"abc", "def", "g"} {
		if n, err := io.Copy(&b, strings.NewReader(text)); err != nil || int(n) != len(text) {
			t.Errorf("%d, %v", n, err)
		}
	}
	if string(b.text) != "abcde" || !b.cut {
		t.Errorf("%q, %v", b.text, b.cut)
	}
}
