package channel

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/windows"
)

// tokenIdentity is the user of a token and the groups that are enabled in it.
func tokenIdentity(token windows.Token) (user string, groups []string, err error) {
	u, err := token.GetTokenUser()
	if err != nil {
		return "", nil, fmt.Errorf("token user: %w", err)
	}
	g, err := token.GetTokenGroups()
	if err != nil {
		return "", nil, fmt.Errorf("token groups: %w", err)
	}
	for _, group := range g.AllGroups() {
		// A filtered administrator's token has Administrators for denying
		// only, without SE_GROUP_ENABLED.
		if group.Attributes&windows.SE_GROUP_ENABLED != 0 {
			groups = append(groups, group.Sid.String())
		}
	}
	return u.User.Sid.String(), groups, nil
}

// tokenStatistics is what of TOKEN_STATISTICS is of use here.
//
//	typedef struct _TOKEN_STATISTICS {
//	  LUID                         TokenId;
//	  LUID                         AuthenticationId;
//	  LARGE_INTEGER                ExpirationTime;
//	  TOKEN_TYPE                   TokenType;
//	  SECURITY_IMPERSONATION_LEVEL ImpersonationLevel;
//	  DWORD                        DynamicCharged;
//	  DWORD                        DynamicAvailable;
//	  DWORD                        GroupCount;
//	  DWORD                        PrivilegeCount;
//	  LUID                         ModifiedId;
//	} TOKEN_STATISTICS, *PTOKEN_STATISTICS;
//
// https://learn.microsoft.com/windows/win32/api/winnt/ns-winnt-token_statistics
type tokenStatistics struct {
	TokenID            windows.LUID
	AuthenticationID   windows.LUID // the logon session
	ExpirationTime     int64
	TokenType          uint32
	ImpersonationLevel uint32
	DynamicCharged     uint32
	DynamicAvailable   uint32
	GroupCount         uint32
	PrivilegeCount     uint32
	ModifiedID         windows.LUID
}

// logonSession is the logon session that a token belongs to.
func logonSession(token windows.Token) (windows.LUID, error) {
	var s tokenStatistics
	var size uint32
	err := windows.GetTokenInformation(token, windows.TokenStatistics, (*byte)(unsafe.Pointer(&s)), uint32(unsafe.Sizeof(s)), &size)
	if err != nil {
		return windows.LUID{}, fmt.Errorf("token statistics: %w", err)
	}
	return s.AuthenticationID, nil
}

// processIdentity is the identity of a process that is given by number. It is
// for a server's process, which stands behind a pipe that was judged already.
func processIdentity(pid uint32) (user string, groups []string, err error) {
	process, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		return "", nil, fmt.Errorf("open process: %w", err)
	}
	defer windows.CloseHandle(process)
	var token windows.Token
	if err := windows.OpenProcessToken(process, windows.TOKEN_QUERY, &token); err != nil {
		return "", nil, fmt.Errorf("open process token: %w", err)
	}
	defer token.Close()
	return tokenIdentity(token)
}

// clientToken is the token with which the client opened the pipe, as Windows
// kept it. The caller closes it.
func clientToken(pipe windows.Handle) (windows.Token, error) {
	type result struct {
		token windows.Token
		err   error
	}
	results := make(chan result)
	// Impersonation belongs to a thread. A goroutine of its own, so that the
	// thread ends with it if it cannot be turned back: nothing of the agent
	// may run in a caller's name.
	go func() {
		runtime.LockOSThread()
		if err := impersonateNamedPipeClient(pipe); err != nil {
			runtime.UnlockOSThread()
			results <- result{err: fmt.Errorf("impersonate the pipe's client: %w", err)}
			return
		}
		var r result
		// As self: the caller's own right to open its token does not matter.
		if r.err = windows.OpenThreadToken(windows.CurrentThread(), windows.TOKEN_QUERY, true, &r.token); r.err != nil {
			r.err = fmt.Errorf("open the client's token: %w", r.err)
		}
		if err := windows.RevertToSelf(); err == nil {
			runtime.UnlockOSThread()
		}
		results <- r
	}()
	r := <-results
	return r.token, r.err
}
