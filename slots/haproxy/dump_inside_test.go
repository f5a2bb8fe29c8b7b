package haproxy

import (
	"testing"

	"github.com/slotsync/slotsync/slots"
)

func FuzzDump(f *testing.F) {
	f.Add("Name: HAProxy\nVersion: 2.6.12\n")
	f.Add("# pxname,svname,qcur,\nweb,web1,0,\nweb,\"a\nb\",0,\n")
	f.Add("1\n# be_id be_name srv_id\n3 web 1\n")
	f.Add("0x55d4: proto=tcpv4 src=127.0.0.1:1 fe=in rq[f=848000h,i=0,an=00h,ax=] s0=[7,8h,fd=1] exp=\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, what := range slots.Dumps {
			d, err := parseDump(what, text)
			if err != nil {
				continue
			}
			if len(d.Columns) > maxColumns+1 {
				t.Fatalf("%s: %d columns", what, len(d.Columns))
			}
			for _, r := range d.Rows {
				if len(r) > len(d.Columns) {
					t.Fatalf("%s: a row has more than the columns", what)
				}
			}
		}
	})
}
