package activation

import "github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"

// Failure explains a result of COM to an administrator.
type Failure struct {
	Code    ccgplugin.HRESULT
	Name    string
	Meaning string
	Remedy  string
}

// Failures are the results that a registration or an installation which is not
// whole gives, in the order of an activation. docs/ccg-plugin.md has them too,
// which a test compares.
var Failures = []Failure{
	{0x80040154, "REGDB_E_CLASSNOTREG", "Class not registered: its key, its AppID, its DLL or its surrogate is not in the registry.", "`gmsa-agent plugin status` names what is missing."},
	{0x80004002, "E_NOINTERFACE", "No such interface supported: nothing carries the interface's calls between processes.", "Install Windows' feature Containers, and start the host anew."},
	{0x80070005, "E_ACCESSDENIED", "Access is denied: the class's permissions, or the DLL's, do not allow this account.", "Run it as an elevated administrator; `gmsa-agent plugin status` compares the permissions."},
	{0x80070002, "ERROR_FILE_NOT_FOUND", "The system cannot find the file: the surrogate or the DLL.", "`gmsa-agent plugin status` looks at the DLL."},
	{0x8007007E, "ERROR_MOD_NOT_FOUND", "The specified module could not be found: the DLL is not where the registry says.", "`gmsa-agent plugin status` looks at the DLL."},
	{0x800700C1, "ERROR_BAD_EXE_FORMAT", "The DLL is not one for x64.", "`gmsa-agent plugin status` looks at the DLL."},
	{0x8000401A, "CO_E_RUNAS_LOGON_FAILURE", "The configured identity is incorrect: a RunAs names an account that cannot log on now.", "`gmsa-agent plugin register` removes it."},
	{0x80080005, "CO_E_SERVER_EXEC_FAILURE", "Server execution failed: the plugin's host ended before it served the class, or did not in time.", "Look for dllhost.exe in the Application event log."},
	{0x800706BA, "RPC_S_SERVER_UNAVAILABLE", "The RPC server is unavailable: the plugin's host ended.", "Look for dllhost.exe in the Application event log."},
	{0x800706BE, "RPC_S_CALL_FAILED", "The remote procedure call failed: the plugin's host ended during the call.", "Look for dllhost.exe in the Application event log."},
	{0x80010108, "RPC_E_DISCONNECTED", "The object has disconnected from its clients: the plugin's host ended during the call.", "Look for dllhost.exe in the Application event log."},
}

// Explain finds a result's failure.
func Explain(h ccgplugin.HRESULT) (Failure, bool) {
	for _, f := range Failures {
		if f.Code == h {
			return f, true
		}
	}
	return Failure{}, false
}
