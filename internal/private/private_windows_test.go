package private

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/windows"
)

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
