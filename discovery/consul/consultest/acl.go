package consultest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/consul/api"
)

// The replies below are those of Consul 1.22.0 in client mode with ACLs on
// (default_policy deny, use_streaming_backend as by default), in the headers that it
// sends and in those that it leaves out:
//
//   - A read that reaches a server says X-Consul-Results-Filtered-By-ACLs: true where
//     instances were left out, and nothing where none was; never to those who send no
//     token (1.11 and later).
//   - A blocking query is answered from what was streamed to the agent (1.10 and later;
//     agent/rpcclient/health, agent/submatview). What the token may not read is left out
//     and nothing says so; the leader is always unknown and the last contact always 0.
//   - When the rights of a token change, the servers end its streams; the agent begins
//     anew with a snapshot of what may be read now, under the same index: who waits is
//     not woken, and misses at the next change what may not be read any more.

// Hide makes what is on these nodes unreadable with token, instead of what was before.
// It moves no index.
func (f *Fake) Hide(token string, nodes ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hidden[token] = slices.Clone(nodes)
}

// Stream makes blocking queries be answered from what was streamed to the agent, or by
// the servers again.
func (f *Fake) Stream(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stream = on
}

// readable returns what may be read of entries, sorted as streams are, and whether that
// is not all. It needs mu.
func (f *Fake) readable(token string, entries []*api.ServiceEntry) (list []*api.ServiceEntry, filtered bool) {
	list = []*api.ServiceEntry{}
	for _, e := range entries {
		if !slices.Contains(f.hidden[token], e.Node.Node) {
			list = append(list, e)
		}
	}
	return list, len(list) < len(entries)
}

// byNode is the order in which an agent lists what was streamed to it.
func byNode(a, b *api.ServiceEntry) int {
	if n := strings.Compare(a.Node.Node, b.Node.Node); n != 0 {
		return n
	}
	return strings.Compare(a.Service.ID, b.Service.ID)
}

// answer sends what the asker may read of service.
func (f *Fake) answer(w http.ResponseWriter, r *http.Request, service string) {
	token, blocking := r.Header.Get("X-Consul-Token"), r.URL.Query().Has("index")
	f.mu.Lock()
	index, streamed, acls := f.indexOf(service), f.stream && blocking, len(f.hidden) > 0
	list, filtered := f.readable(token, f.services[service])
	f.mu.Unlock()
	header := healthy(index)
	if streamed {
		slices.SortFunc(list, byNode)
		header = streamHeader(index)
	}
	if acls {
		header = append(header, "X-Consul-Default-Acl-Policy", "deny")
	}
	if acls && filtered && !streamed && token != "" {
		header = append(header, "X-Consul-Results-Filtered-By-Acls", "true")
	}
	f.Answer(w, list, header...)
}

// streamHeader returns the headers of a reply from a stream, name and value in turn.
func streamHeader(index uint64) []string {
	return []string{
		"X-Consul-Index", strconv.FormatUint(index, 10), "X-Consul-Knownleader", "false", "X-Consul-Lastcontact", "0",
		"X-Consul-Effective-Consistency", "leader", "X-Consul-Query-Backend", "streaming",
	}
}
