package channel

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestThePipesAccessListsAreTheDocumentedOnes(t *testing.T) {
	want := map[Audience]string{
		Control: "O:BAG:BAD:P(A;;FA;;;SY)(A;;FA;;;BA)",
		Plugin:  "O:BAG:BAD:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;0x120083;;;LS)(A;;0x120083;;;NS)(A;;0x120083;;;SU)",
	}
	doc, err := os.ReadFile("../../docs/attack-surface.md")
	if err != nil {
		t.Fatal(err)
	}
	for a, list := range want {
		if got := sddl(a); got != list {
			t.Errorf("%s: got %s, want %s", a, got, list)
		}
		if !strings.Contains(string(doc), "`"+list+"`") {
			t.Errorf("docs/attack-surface.md does not quote the list of the %s channel, %s", a, list)
		}
	}
}

func TestNoClientMayCreateAnInstanceOfThePipe(t *testing.T) {
	const createInstance = 0x4
	if pipeCallRights&createInstance != 0 {
		t.Error("a caller's rights hold FILE_CREATE_PIPE_INSTANCE")
	}
	for a, entries := range pipeAccess {
		for _, e := range entries {
			if trusted := e.trustee == "SY" || e.trustee == "BA"; !trusted && e.rights != pipeCall {
				t.Errorf("%s: %s may do %s", a, e.trustee, e.rights)
			}
		}
	}
}

func TestAllowNamesWhatDidNotFit(t *testing.T) {
	peer := &Peer{PID: 7, Image: `/usr/bin/dllhost`, User: "S-1-5-20", Groups: []string{"S-1-5-6", "S-1-1-0"}}
	for name, tc := range map[string]struct {
		allow Allow
		says  string // empty: allowed
	}{
		"the user":                   {Allow{Users: []string{"S-1-5-20"}}, ""},
		"one of several users":       {Allow{Users: []string{"S-1-5-18", "s-1-5-20"}}, ""},
		"a group":                    {Allow{Users: []string{"S-1-5-6"}}, ""},
		"user and program":           {Allow{Users: []string{"S-1-5-20"}, Images: []string{"/x", "/usr/bin/../bin/dllhost"}}, ""},
		"nobody":                     {Allow{}, "only for nobody"},
		"an empty user":              {Allow{Users: []string{""}}, "not for this user"},
		"another user":               {Allow{Users: []string{"S-1-5-18"}}, "not for this user, only for S-1-5-18"},
		"the program but no user":    {Allow{Images: []string{"/usr/bin/dllhost"}}, "not for this user"},
		"another program":            {Allow{Users: []string{"S-1-5-20"}, Images: []string{"/x"}}, "not for this program, only for /x"},
		"part of the program's path": {Allow{Users: []string{"S-1-5-20"}, Images: []string{"dllhost"}}, "not for this program"},
	} {
		err := tc.allow.Check(peer)
		switch {
		case tc.says == "" && err != nil:
			t.Errorf("%s: got %v", name, err)
		case tc.says != "" && (!errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), tc.says)):
			t.Errorf("%s: got %v, want it to say %q", name, err, tc.says)
		}
	}
}

func TestAnUnreadableProgramFitsNoList(t *testing.T) {
	err := Allow{Users: []string{"u"}, Images: []string{""}}.Check(&Peer{User: "u"})
	if !errors.Is(err, fault.ErrDenied) {
		t.Errorf("got %v", err)
	}
}

func TestAnUnknownPeerCanBeSpokenOf(t *testing.T) {
	var p *Peer
	if p.Alive() || p.String() == "" {
		t.Errorf("got %q, alive=%t", p, p.Alive())
	}
}

func TestByDefaultTheChannelsServeSomebody(t *testing.T) {
	for _, a := range []Audience{Control, Plugin} {
		if len(DefaultAllow(a).Users) == 0 {
			t.Errorf("%s: nobody", a)
		}
		if !strings.Contains(DefaultEndpoint(a), a.String()) {
			t.Errorf("%s: the default endpoint is %s", a, DefaultEndpoint(a))
		}
	}
}
