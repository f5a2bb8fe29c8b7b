package haproxytest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const stateHeader = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight " +
	"srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state " +
	"bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n"

// statColumns are those of "show stat" that a Fake fills in; the others of the
// real one are not there.
const statColumns = "# pxname,svname,scur,stot,status,type,addr,\n"

// showInfo has the lines that clients read.
func (s *session) showInfo([]string) string {
	w := s.worker
	stopping := 0
	if w.stopping {
		stopping = 1
	}
	up := int(time.Since(w.started).Seconds())
	return fmt.Sprintf("Name: HAProxy\nVersion: %s\nNbthread: 2\nNbproc: 1\nProcess_num: 1\nPid: %d\nUptime: 0d 0h00m%02ds\nUptime_sec: %d\n"+
		"node: %s\nStopping: %d\nStart_time_sec: %d\n", fullVersions[s.fake.version], w.pid, up, up, s.fake.node, stopping, w.started.Unix())
}

func (s *session) showBackend([]string) string {
	out := "# name\n"
	for _, b := range s.worker.backends {
		out += b.Name + "\n"
	}
	return out
}

// showResolvers shows the section that HAProxy makes itself, and those of the backends.
func (s *session) showResolvers([]string) string {
	out := resolversText("default")
	for _, b := range s.worker.backends {
		if b.Resolvers != "" {
			out += resolversText(b.Resolvers)
		}
	}
	return out
}

func resolversText(section string) string {
	return "Resolvers section " + section + "\n nameserver a:\n  sent:        0\n  snd_error:   0\n"
}

// shown lists the backends that a command names; nil if there is none of that
// name.
func (s *session) shown(name string) []*backend {
	if name == "" {
		return s.worker.backends
	}
	if b := s.findBackend(name); b != nil {
		return []*backend{b}
	}
	return nil
}

func (s *session) showState(a []string) string {
	list := s.shown(a[3])
	if list == nil && a[3] != "" {
		return "Can't find backend.\n"
	}
	var out strings.Builder
	out.WriteString(stateHeader)
	now := time.Now()
	for _, b := range list {
		for _, sv := range b.servers {
			sv.settle(now)
			fmt.Fprintf(&out, "%d %s %d %s %s %d %d %d %d %d 1 0 %d %d %d 0 0 %s %d - 0 0 - - %d\n",
				b.id, b.Name, sv.id, sv.name, cmp.Or(sv.addr, "-"), sv.op(), sv.admin, sv.weight, sv.initial,
				int(now.Sub(sv.changed).Seconds()), sv.health, sv.checks(), sv.agent, sv.hostname(), sv.shownPort(), sv.agentPort)
		}
	}
	return out.String()
}

// showStat knows the form "show stat <backend|number|-1> 4 -1".
func (s *session) showStat(a []string) string {
	name := a[2]
	if name == "-1" {
		name = ""
	}
	list := s.shown(name)
	if id, err := strconv.Atoi(name); err == nil {
		list = slices.DeleteFunc(slices.Clone(s.shown("")), func(b *backend) bool { return b.id != id })
	}
	if list == nil && name != "" {
		return "No such proxy.\n"
	}
	var out strings.Builder
	out.WriteString(statColumns)
	for _, b := range list {
		if b.Disabled {
			continue
		}
		for _, sv := range b.servers {
			sv.settle(time.Now())
			addr := ""
			if s.of == "admin" && sv.addr != "" {
				addr = sv.addr + ":" + strconv.Itoa(sv.shownPort())
				if strings.Contains(sv.addr, ":") {
					addr = "[" + sv.addr + "]:" + strconv.Itoa(sv.shownPort())
				}
			}
			fmt.Fprintf(&out, "%s,%s,%d,%d,%s,2,%s,\n", b.Name, sv.name, sv.sessions, sv.total, sv.status(), addr)
		}
	}
	return out.String()
}
