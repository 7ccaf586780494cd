package private

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/windows"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// mkdir makes a folder and then gives it an access list: Wine makes it with the
// process's umask whatever list it is made with.
func mkdir(t *testing.T, dir, sddl string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	setAccess(t, dir, sddl)
}

func setAccess(t *testing.T, path, sddl string) {
	t.Helper()
	sd, err := windows.SecurityDescriptorFromString(sddl)
	if err != nil {
		t.Fatal(err)
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		t.Fatal(err)
	}
	info := windows.SECURITY_INFORMATION(windows.DACL_SECURITY_INFORMATION | windows.PROTECTED_DACL_SECURITY_INFORMATION)
	if err := windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, info, nil, nil, dacl, nil); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// openSDDL is for everybody, whoever the tests run as included.
const openSDDL = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;WD)"

func TestAFileIsAcceptedWhereOnlyItsOwnerAndAdministratorsCanChangeIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	writeFile(t, path)
	if err := File(path); err != nil {
		t.Error(err)
	}
}

func TestAFileThatEverybodyCanWriteToIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	writeFile(t, path)
	setAccess(t, path, openSDDL)
	if err := File(path); !errors.Is(err, fault.ErrDenied) {
		t.Error(err)
	}
}

func TestAFileInOrBelowAFolderThatEverybodyCanChangeIsRefused(t *testing.T) {
	open := filepath.Join(t.TempDir(), "open")
	mkdir(t, open, openSDDL)
	below := filepath.Join(open, "gmsa-agent")
	mkdir(t, below, folderSDDL)
	for _, dir := range []string{open, below} {
		path := filepath.Join(dir, "config.yaml")
		writeFile(t, path)
		if err := File(path); !errors.Is(err, fault.ErrDenied) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := Folder(filepath.Join(open, "state")); !errors.Is(err, fault.ErrDenied) {
		t.Error(err)
	}
}

// It reads back what the folders were made with; Wine may show the entries in
// other words.
func TestFoldersAreMadeForSystemAndAdministrators(t *testing.T) {
	if !windows.GetCurrentProcessToken().IsElevated() {
		t.Skip("the folder is for administrators alone; run the tests as one")
	}
	dir := filepath.Join(t.TempDir(), "state", "secrets")
	if err := Folder(dir); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{dir, filepath.Dir(dir)} {
		sd, err := windows.GetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %s", dir, sd)
		if err := checkFolder(dir); err != nil {
			t.Error(err)
		}
	}
}

// The first two are what a Windows host commonly has on its system volume: users
// may make folders in both, and exchange none.
func TestAccessListsAreJudgedByWhatTheyAllow(t *testing.T) {
	const (
		volume      = "O:" + trustedInstaller + "D:PAI(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;OICI;0x1200a9;;;BU)(A;OICIIO;SDGXGWGR;;;AU)(A;;0x4;;;AU)"
		programData = "O:SYD:PAI(A;OICIIO;GA;;;CO)(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)(A;CI;0x116;;;BU)"
		byUser      = "O:S-1-5-21-1-2-3-1001D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
		inherited   = "O:BAD:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;0x1200a9;;;BU)"
	)
	for _, c := range []struct {
		what, sddl string
		rights     windows.ACCESS_MASK
		want       error
	}{
		{"the volume above other folders", volume, exchange, nil},
		{"ProgramData above other folders", programData, exchange, nil},
		{"ProgramData as the file's own folder", programData, place, fault.ErrDenied},
		{"ProgramData as the agent's own folder", programData, anyAccess, fault.ErrDenied},
		{"our folder", "O:BA" + folderSDDL, anyAccess, nil},
		{"a folder that a user made", byUser, exchange, fault.ErrDenied},
		{"a file that users may read", inherited, change, nil},
		{"a secret that users may read", inherited, read, fault.ErrDenied},
		{"a secret in our folder", "O:BAD:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)", read, nil},
		{"a file that the network service may change", "O:BAD:(A;;FA;;;BA)(A;;FW;;;NS)", change, fault.ErrDenied},
	} {
		sd, err := windows.SecurityDescriptorFromString(c.sddl)
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		if err := judge("it", sd, c.rights); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
}

func TestASecretThatEverybodyCanReadIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	writeFile(t, path)
	setAccess(t, path, "D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FR;;;WD)")
	if err := File(path); err != nil {
		t.Error(err)
	}
	if err := Secret(path); !errors.Is(err, fault.ErrDenied) {
		t.Error(err)
	}
}
