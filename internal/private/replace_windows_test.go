package private

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/windows"
)

// replacesOpenFiles is false under Wine 8, whose server refuses to rename over
// a file that anybody has open.
func replacesOpenFiles() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() != nil
}

func TestAFileOfItsOwnIsForAdministratorsAlone(t *testing.T) {
	dir := t.TempDir()
	if err := Replace(dir, "x", []byte("secret"), Replacing{Own: true}); err != nil {
		t.Fatal(err)
	}
	sd, err := windows.GetNamedSecurityInfo(filepath.Join(dir, "x"), windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkAccess(filepath.Join(dir, "x"), anyAccess); err != nil {
		t.Error(err)
	}
	// Wine keeps of a file's list what fits the mode of a unix file.
	if got := sd.String(); got != fileSDDL && replacesOpenFiles() {
		t.Errorf("%s, want %s", got, fileSDDL)
	}
}
