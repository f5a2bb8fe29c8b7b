package web

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/slotsync/slotsync/agent/api"
	"github.com/slotsync/slotsync/agent/web/answer"
	"github.com/slotsync/slotsync/agent/web/auth"
	"github.com/slotsync/slotsync/slots"
)

func (s *Server) instanceRoutes() []Route {
	const instance = "/v1/instances/{instance}/"
	fails := []int{404, 502, 503, 504}
	// what raw may do depends on what is sent
	all := []Route{{"POST", instance + "raw", s.raw, auth.Read, Operation{ID: "raw", Summary: "Send a line of commands as it is",
		Description: "Who shows nothing may only show and help, one command on a line, and nothing of the environment, keys, requests, tables, maps and ACLs.",
		Body:        api.RawBody{Command: "show pools"}, Answer: api.RawAnswer{}, Says: "What HAProxy said", Fails: append([]int{400}, fails...)}}}
	for _, what := range slots.Dumps {
		show := answered(api.ChangeTimeout, http.StatusBadGateway, func(ctx context.Context, r *http.Request) (slots.Dump, error) { return s.dump(ctx, r, what) })
		command := what
		if what == slots.DumpServers {
			command += " state"
		}
		all = append(all, Route{"GET", instance + what, show, auth.Read, Operation{ID: "show" + strings.ToUpper(what[:1]) + what[1:],
			Summary: "`show " + command + "`, now", Answer: slots.Dump{}, Says: "A table", Fails: fails}})
	}
	return all
}

func (s *Server) dump(ctx context.Context, r *http.Request, what string) (slots.Dump, error) {
	d, err := s.o.Agent.Dump(askingInstance(ctx, r), r.PathValue("instance"), what)
	if !auth.IsAdmin(r) {
		d = d.WithoutCookies()
	}
	// the lists are there also where HAProxy shows nothing
	d.Columns, d.Rows = append([]string{}, d.Columns...), append([]map[string]string{}, d.Rows...)
	return d, err
}

// askingInstance is the context in which an instance is asked for r.
func askingInstance(ctx context.Context, r *http.Request) context.Context {
	if !auth.IsAdmin(r) {
		return slots.ForReader(ctx)
	}
	return ctx
}

// raw passes a line on. What may write, and more than one command, is for those who may do
// everything: a line of many holds its connection to HAProxy for as long as all of them take.
func (s *Server) raw(w http.ResponseWriter, r *http.Request) {
	var body api.RawBody
	if err := readJSON(r, &body); err != nil {
		answer.Problem(w, http.StatusBadRequest, err.Error())
		return
	}
	pass := answered(api.ChangeTimeout, http.StatusBadGateway, func(ctx context.Context, r *http.Request) (api.RawAnswer, error) {
		reply, err := s.o.Agent.Raw(askingInstance(ctx, r), r.PathValue("instance"), body.Command, auth.CallerOf(r).Actor(body.By))
		return api.RawAnswer{Reply: reply}, err
	})
	if api.OnlyShows(body.Command) && !strings.Contains(body.Command, ";") && !isSensitive(body.Command) {
		pass(w, r)
		return
	}
	auth.Require(auth.Full, pass)(w, r)
}

// isSensitive reports whether a line that only shows may show secrets. What HAProxy's
// parser would take apart otherwise is not judged, and so may.
func isSensitive(command string) bool {
	if strings.ContainsAny(command, "\\\"'<") {
		return true
	}
	return slices.ContainsFunc(strings.Fields(command), func(w string) bool { return slices.Contains(sensitiveWords(), w) })
}

// sensitiveWords are the words of "show" that ask for what may be secret: HAProxy's
// environment and the keys of TLS tickets; requests as they came, with their cookies
// and passwords, which "errors" has of those that were invalid, "events" of those that
// are logged or traced, and "show-uri" of those under way; and what requests are
// compared with and counted by, often the key of an API or a session's. "stat" shows the
// cookies of servers; [Client.Dump] has it without.
func sensitiveWords() []string {
	return []string{"stat", "env", "tls-keys", "errors", "events", "show-uri", "acl", "map", "table"}
}
