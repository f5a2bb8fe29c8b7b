package api

import (
	"strings"
	"testing"
)

func TestWhatOnlyShows(t *testing.T) {
	for line, want := range map[string]bool{
		"": true, "show info": true, " show info ; help": true, "show info; set server web/web1 state maint": false,
		"clear counters": false, `show info\;set weight a/b 0`: false, "show info\nclear counters": false, "show\tinfo": false,
	} {
		if got := OnlyShows(line); got != want {
			t.Errorf("%q: %t", line, got)
		}
	}
}

func TestWhatIsSentAsItIsIsNotLoggedWhole(t *testing.T) {
	for line, want := range map[string]string{
		"show info":                            "show info",
		"set server web/web1 state maint":      "set server web/web1 …",
		"add map /etc/users ann hunter2;help":  "add map /etc/users …; help",
		" set  ssl cert /etc/a.pem  SECRET ; ": "set ssl cert …",
		`add map #1 ann a\;hunter2;help`:       "add map #1 …; help",
		`add map #1 ann a\\;help`:              "add map #1 …; help",
		"show info;add map #1 <<\nann;hunter2": "show info; add map #1 …; …",
		"show info\nann;hunter2":               "show info; …",
		`show info\`:                           `show info\`,
		"show info;disable server web/web1":    "show info; disable server web/web1",
		";; disable server web/web1 ; ;":       "disable server web/web1",
		"#; disable server web/web1":           "#; disable server web/web1",
		`help "a; disable server web/web1`:     `help "a; disable server web/web1`,
		"set maxconn server web/web1 10":       "set maxconn server web/web1 …",
		"shutdown sessions server web/web1":    "shutdown sessions server web/web1",
		"add map backend ann hunter2":          "add map backend …",
		"httpclient GET http://u:p@10.0.0.1/":  "httpclient GET …",
		"set dynamic-cookie-key backend web K": "set dynamic-cookie-key backend web …",
		strings.Repeat("show info;", 100):      strings.Repeat("show info; ", 18) + "sh…",
		"show \x1b[2J":                         "show .[2J",
	} {
		if got := Loggable(line); got != want {
			t.Errorf("%q is logged as %q, want %q", line, got, want)
		}
	}
}
