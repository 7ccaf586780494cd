package pluginharness

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
)

const (
	classKey = `HKLM\SOFTWARE\Classes\CLSID\` + ccgplugin.CLSID
	appKey   = `HKLM\SOFTWARE\Classes\AppID\` + ccgplugin.CLSID
	ccgKey   = `HKLM\SYSTEM\CurrentControlSet\Control\CCG\COMClasses\` + ccgplugin.CLSID
)

var valueLine = regexp.MustCompile(`^    (.*?)    (REG_\w+)(?:    (.*))?$`)

// query reads a key and all below it: "name" or "subkey:name" to "type data".
// A key that does not exist has nothing.
func (h *host) query(t testing.TB, key string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := h.Command(ctx, "reg.exe", "query", key, "/s").Output()
	if err != nil {
		return nil
	}
	values := map[string]string{}
	var subkey string
	for line := range strings.SplitSeq(strings.ReplaceAll(string(out), "\r", ""), "\n") {
		if strings.HasPrefix(line, "HKEY_") {
			_, subkey, _ = strings.Cut(line, ccgplugin.CLSID)
			continue
		}
		if m := valueLine.FindStringSubmatch(line); m != nil {
			values[strings.TrimPrefix(subkey+":"+m[1], ":")] = m[2] + " " + m[3]
		}
	}
	return values
}

func TestRegisteringWritesEveryKeyAndUnregisteringRemovesThem(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	got := h.query(t, classKey)
	want := map[string]string{
		"(Default)":                      "REG_SZ gmsa-agent plugin for Container Credential Guard",
		"AppID":                          "REG_SZ " + ccgplugin.CLSID,
		`\InprocServer32:(Default)`:      "REG_SZ " + h.WindowsPath(h.dll),
		`\InprocServer32:ThreadingModel`: "REG_SZ Both",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("class: %s", diff)
	}
	got = h.query(t, appKey)
	for _, name := range []string{"AccessPermission", "LaunchPermission"} {
		if list := accessList(t, got[name]); list != "O:S-1-5-32-544 G:S-1-5-32-544 (0xb S-1-5-18)(0xb S-1-5-6)(0xb S-1-5-32-544)" {
			t.Errorf("%s: %s", name, list)
		}
		delete(got, name)
	}
	want = map[string]string{"(Default)": "REG_SZ gmsa-agent plugin for Container Credential Guard", "DllSurrogate": "REG_SZ "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("application: %s", diff)
	}
	if diff := cmp.Diff(map[string]string{"(Default)": "REG_SZ "}, h.query(t, ccgKey)); diff != "" {
		t.Errorf("CCG's list: %s", diff)
	}

	for range 2 { // the second time there is nothing to remove
		if err := h.UnregisterDLL(t.Context(), h.dll); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{classKey, appKey, ccgKey} {
			if left := h.query(t, key); left != nil {
				t.Errorf("%s holds %v", key, left)
			}
		}
	}
	if err := h.RegisterDLL(t.Context(), h.dll); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestARegistrationThatFailsIsUndone(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	ctx := t.Context()
	if err := h.UnregisterDLL(ctx, h.dll); err != nil {
		t.Fatal(err)
	}
	// As Windows guards the keys of CCG's plugins. Wine refuses the taking of
	// ownership, so the last step must fail.
	if out, err := h.Command(ctx, h.lockkey, strings.TrimPrefix(ccgKey, `HKLM\`)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := h.run(t, "inproc", "export", h.WindowsPath(h.dll), "DllRegisterServer")
	if got["result"] != "0x80070005" {
		t.Errorf("got %s, want E_ACCESSDENIED", got["result"])
	}
	for _, key := range []string{classKey, appKey, ccgKey} {
		if left := h.query(t, key); len(left) != 0 {
			t.Errorf("%s holds %v", key, left)
		}
	}
}

// accessList puts a self-relative security descriptor, as reg.exe prints it,
// into words.
//
// https://learn.microsoft.com/openspecs/windows_protocols/ms-dtyp/7d4dac05-9cef-4563-a058-f108abecce1d
func accessList(t testing.TB, value string) string {
	t.Helper()
	b, err := hex.DecodeString(strings.TrimPrefix(value, "REG_BINARY "))
	if err != nil || len(b) < 20 {
		t.Errorf("%q is not a security descriptor: %v", value, err)
		return ""
	}
	at := func(offset int) []byte { return b[binary.LittleEndian.Uint32(b[offset:]):] }
	list := "O:" + sid(at(4)) + " G:" + sid(at(8)) + " "
	acl := at(16)
	ace := acl[8:]
	for range binary.LittleEndian.Uint16(acl[4:]) {
		if ace[0] != 0 {
			list += "(not allowing)"
		}
		list += fmt.Sprintf("(%#x %s)", binary.LittleEndian.Uint32(ace[4:]), sid(ace[8:]))
		ace = ace[binary.LittleEndian.Uint16(ace[2:]):]
	}
	return list
}

func sid(b []byte) string {
	s := fmt.Sprintf("S-%d-%d", b[0], b[7])
	for i := range int(b[1]) {
		s += fmt.Sprintf("-%d", binary.LittleEndian.Uint32(b[8+4*i:]))
	}
	return s
}
