package credspec_test

import (
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
)

func TestPlaceFindsAValueOrTheNearestAroundIt(t *testing.T) {
	const odd = "\ufeff{\"ä\": {\"a/b\": [7, {\"~\": 1}]}, \"x\": 1, \"x\": 2}"
	for _, tt := range []struct {
		doc, path    string
		line, column int
	}{
		{credspectest.Document, "", 1, 1},
		{credspectest.Document, "/DomainJoinConfig/Sid", 4, 12},
		{credspectest.Document, "/ActiveDirectoryConfig/GroupManagedServiceAccounts/1/Scope", 14, 37},
		{credspectest.Document, "/ActiveDirectoryConfig/HostAccountConfig", 16, 26},
		// what is not there
		{credspectest.Document, "/DomainJoinConfig/None", 3, 23},
		{credspectest.Document, "/DomainJoinConfig/Sid/deeper", 4, 12},
		{credspectest.Document, "/ActiveDirectoryConfig/GroupManagedServiceAccounts/2/Name", 12, 36},
		{credspectest.Document, "/ActiveDirectoryConfig/GroupManagedServiceAccounts/01", 12, 36},
		{credspectest.Document, "/ActiveDirectoryConfig/GroupManagedServiceAccounts/-1", 12, 36},
		{credspectest.Document, "no pointer", 1, 1},
		// escapes, characters of two bytes, a byte order mark, repetition
		{odd, "/ä/a~1b/0", 1, 16}, {odd, "/ä/a~1b/1/~0", 1, 25}, {odd, "/x", 1, 36},
		{"not JSON", "/x", 1, 1}, {"", "", 1, 1},
	} {
		if line, column := credspec.Place([]byte(tt.doc), tt.path); line != tt.line || column != tt.column {
			t.Errorf("Place(%.20q…, %q) = %d, %d, want %d, %d", tt.doc, tt.path, line, column, tt.line, tt.column)
		}
	}
}

// Whatever Validate says stands where Place finds it, if it is about a value.
func TestPlaceAgreesWithValidate(t *testing.T) {
	doc := []byte(edited(t, "S-1-5-21-2126449477-2524075714-3094792973", "x", `"NetBiosName": "CONTOSO"`, `"NetBiosName": 5`, `"Scope": "CONTOSO"`, `"Scope": "CON/TOSO"`))
	for _, p := range credspec.Validate(doc) {
		if line, column := credspec.Place(doc, p.Path); line != p.Line || column != p.Column {
			t.Errorf("%s: Place says %d:%d, Validate %d:%d", p.Path, line, column, p.Line, p.Column)
		}
	}
}
