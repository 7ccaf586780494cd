package service

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/sys/windows"
)

// serviceConfig is all of a service's configuration, so that it can be brought
// back. Nil is what this system does not have.
type serviceConfig struct {
	Type         uint32   `json:"type"`
	StartType    uint32   `json:"startType"`
	ErrorControl uint32   `json:"errorControl"`
	Command      string   `json:"command"`
	Group        string   `json:"group,omitempty"`
	Dependencies []string `json:"dependencies,omitempty"`
	Account      string   `json:"account"`
	DisplayName  string   `json:"displayName"`

	Description *string   `json:"description,omitempty"`
	Delayed     *bool     `json:"delayed,omitempty"`
	SIDType     *uint32   `json:"sidType,omitempty"`
	Privileges  *[]string `json:"privileges,omitempty"`
	Recovery    *recovery `json:"recovery,omitempty"`
}

// recovery is what the manager does when the service ends by itself.
type recovery struct {
	ResetAfter uint32   `json:"resetAfter"` // seconds without a failure
	Actions    []action `json:"actions"`    // for the first failure, the second, …
	// NotOnlyCrashes also takes an end with an exit code for a failure.
	NotOnlyCrashes bool `json:"notOnlyCrashes"`
}

// action is SC_ACTION.
type action struct {
	Type  uint32 `json:"type"`
	Delay uint32 `json:"delay"` // ms
}

func (r recovery) equal(o recovery) bool {
	return r.ResetAfter == o.ResetAfter && r.NotOnlyCrashes == o.NotOnlyCrashes && slices.Equal(r.Actions, o.Actions)
}

// localSystem is who may listen on the agent's pipes and talk to containerd and
// HCS.
const localSystem = "LocalSystem"

// privileges are what is left to LocalSystem, which would have thirty:
//
//   - SeChangeNotifyPrivilege: everybody has it; without it, each folder on the
//     way to a file would have to be open to SYSTEM
//   - SeIncreaseWorkingSetPrivilege: passwords are locked in memory, as much as
//     the working set allows
//
// It impersonates at identification level, which takes no privilege, and looks
// into callers' processes by their access lists, which have SYSTEM.
var privileges = []string{"SeChangeNotifyPrivilege", "SeIncreaseWorkingSetPrivilege"}

// configOf is what the manager is to have of a definition.
//
// It depends on no service: containerd and Docker may come, go and be missing,
// and one that were named here would take the agent with it when it is stopped.
func configOf(d Definition) serviceConfig {
	sid := uint32(windows.SERVICE_SID_TYPE_UNRESTRICTED)
	return serviceConfig{
		Type:         windows.SERVICE_WIN32_OWN_PROCESS,
		StartType:    windows.SERVICE_AUTO_START,
		ErrorControl: windows.SERVICE_ERROR_NORMAL,
		Command:      command(d),
		Account:      localSystem,
		DisplayName:  d.DisplayName,
		Description:  &d.Description,
		Delayed:      &d.Delayed,
		SIDType:      &sid,
		Privileges:   &privileges,
		Recovery: &recovery{
			ResetAfter: 24 * 60 * 60,
			// At once; a second failure may be the host's, and gets time.
			Actions:        []action{{windows.SC_ACTION_RESTART, 0}, {windows.SC_ACTION_RESTART, 5_000}, {windows.SC_ACTION_RESTART, 30_000}},
			NotOnlyCrashes: true,
		},
	}
}

func pointer(s string) (*uint16, error) { return windows.UTF16PtrFromString(s) }

// multi is a REG_MULTI_SZ: strings with their terminators, and one more.
func multi(words []string) []uint16 {
	var all []uint16
	for _, w := range words {
		units, err := windows.UTF16FromString(w)
		if err != nil {
			continue // a NUL: no name has one
		}
		all = append(all, units...)
	}
	if len(all) == 0 {
		all = append(all, 0)
	}
	return append(all, 0)
}

func words(block *uint16) []string {
	all := []string{}
	for p := block; p != nil && *p != 0; {
		s := windows.UTF16PtrToString(p)
		all = append(all, s)
		units, err := windows.UTF16FromString(s)
		if err != nil {
			break
		}
		p = (*uint16)(unsafe.Add(unsafe.Pointer(p), 2*len(units)))
	}
	return all
}

func create(m windows.Handle, name string, rights uint32, c serviceConfig) (windows.Handle, error) {
	var texts [5]*uint16
	for i, s := range []string{name, c.DisplayName, c.Command, c.Group, c.Account} {
		p, err := pointer(s)
		if err != nil {
			return 0, err
		}
		texts[i] = p
	}
	return windows.CreateService(m, texts[0], texts[1], rights, c.Type, c.StartType, c.ErrorControl, texts[2], texts[3], nil, &multi(c.Dependencies)[0], texts[4], nil)
}

func change(h windows.Handle, c serviceConfig) error {
	var texts [4]*uint16
	for i, s := range []string{c.DisplayName, c.Command, c.Group, c.Account} {
		p, err := pointer(s)
		if err != nil {
			return err
		}
		texts[i] = p
	}
	return windows.ChangeServiceConfig(h, c.Type, c.StartType, c.ErrorControl, texts[1], texts[2], nil, &multi(c.Dependencies)[0], texts[3], nil, texts[0])
}

// requiredPrivileges is SERVICE_REQUIRED_PRIVILEGES_INFOW:
//
//	typedef struct { LPWSTR pmszRequiredPrivileges; } SERVICE_REQUIRED_PRIVILEGES_INFOW;
//
// https://learn.microsoft.com/windows/win32/api/winsvc/ns-winsvc-service_required_privileges_infow
type requiredPrivileges struct{ Privileges *uint16 }

// unsupported says whether this system does not have a piece of a service's
// configuration. Wine has none of those that are written with levels above 2.
func unsupported(err error) bool {
	return errors.Is(err, windows.ERROR_INVALID_LEVEL) || errors.Is(err, windows.ERROR_CALL_NOT_IMPLEMENTED)
}

// writeOptional writes what the first call does not take. Each piece says why it
// is safe to go without it where the system does not have it; any other error
// is one.
func writeOptional(h windows.Handle, c serviceConfig) (warnings []string, err error) {
	write := func(what, without string, level uint32, data unsafe.Pointer) error {
		err := windows.ChangeServiceConfig2(h, level, (*byte)(data))
		if unsupported(err) {
			warnings = append(warnings, fmt.Sprintf("%s: unsupported by this system (%v): %s", what, err, without))
			return nil
		}
		return scmError("set the service's "+what, err)
	}
	if c.Description != nil {
		text, err := pointer(*c.Description)
		if err != nil {
			return nil, err
		}
		if err := write("description", "nothing else depends on it", windows.SERVICE_CONFIG_DESCRIPTION, unsafe.Pointer(&windows.SERVICE_DESCRIPTION{Description: text})); err != nil {
			return warnings, err
		}
	}
	if c.Delayed != nil {
		var info windows.SERVICE_DELAYED_AUTO_START_INFO
		if *c.Delayed {
			info.IsDelayedAutoStartUp = 1
		}
		if err := write("delayed start", "it starts earlier", windows.SERVICE_CONFIG_DELAYED_AUTO_START_INFO, unsafe.Pointer(&info)); err != nil {
			return warnings, err
		}
	}
	if c.SIDType != nil {
		sid := *c.SIDType
		if err := write("SID type", "no access list of ours names the service", windows.SERVICE_CONFIG_SERVICE_SID_INFO, unsafe.Pointer(&sid)); err != nil {
			return warnings, err
		}
	}
	if c.Privileges != nil {
		list := multi(*c.Privileges)
		if err := write("list of privileges", "it has more than it uses", windows.SERVICE_CONFIG_REQUIRED_PRIVILEGES_INFO, unsafe.Pointer(&requiredPrivileges{&list[0]})); err != nil {
			return warnings, err
		}
	}
	if r := c.Recovery; r != nil {
		actions := make([]windows.SC_ACTION, len(r.Actions), len(r.Actions)+1)
		for i, a := range r.Actions {
			actions[i] = windows.SC_ACTION{Type: a.Type, Delay: a.Delay}
		}
		info := windows.SERVICE_FAILURE_ACTIONS{ResetPeriod: r.ResetAfter, ActionsCount: uint32(len(actions)), Actions: unsafe.SliceData(actions[:cap(actions)])}
		if err := write("recovery", "whoever watches the host has to start it again", windows.SERVICE_CONFIG_FAILURE_ACTIONS, unsafe.Pointer(&info)); err != nil {
			return warnings, err
		}
		var flag windows.SERVICE_FAILURE_ACTIONS_FLAG
		if r.NotOnlyCrashes {
			flag.FailureActionsOnNonCrashFailures = 1
		}
		if err := write("recovery from ends with an exit code", "as above", windows.SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, unsafe.Pointer(&flag)); err != nil {
			return warnings, err
		}
	}
	return warnings, nil
}

// readConfig reads everything that the system has of a service.
func readConfig(h windows.Handle) (serviceConfig, error) {
	b, err := grown(func(b []byte, need *uint32) error {
		return windows.QueryServiceConfig(h, (*windows.QUERY_SERVICE_CONFIG)(unsafe.Pointer(&b[0])), uint32(len(b)), need)
	})
	if err != nil {
		return serviceConfig{}, err
	}
	q := (*windows.QUERY_SERVICE_CONFIG)(unsafe.Pointer(&b[0]))
	c := serviceConfig{
		Type: q.ServiceType, StartType: q.StartType, ErrorControl: q.ErrorControl,
		Command:      windows.UTF16PtrToString(q.BinaryPathName),
		Group:        windows.UTF16PtrToString(q.LoadOrderGroup),
		Dependencies: words(q.Dependencies),
		Account:      windows.UTF16PtrToString(q.ServiceStartName),
		DisplayName:  windows.UTF16PtrToString(q.DisplayName),
	}
	return c, c.readOptional(h)
}

func (c *serviceConfig) readOptional(h windows.Handle) error {
	for _, piece := range []struct {
		level uint32
		take  func(data unsafe.Pointer)
	}{
		{windows.SERVICE_CONFIG_DESCRIPTION, func(p unsafe.Pointer) {
			text := windows.UTF16PtrToString((*windows.SERVICE_DESCRIPTION)(p).Description)
			c.Description = &text
		}},
		{windows.SERVICE_CONFIG_DELAYED_AUTO_START_INFO, func(p unsafe.Pointer) {
			delayed := (*windows.SERVICE_DELAYED_AUTO_START_INFO)(p).IsDelayedAutoStartUp != 0
			c.Delayed = &delayed
		}},
		{windows.SERVICE_CONFIG_SERVICE_SID_INFO, func(p unsafe.Pointer) {
			sid := *(*uint32)(p)
			c.SIDType = &sid
		}},
		{windows.SERVICE_CONFIG_REQUIRED_PRIVILEGES_INFO, func(p unsafe.Pointer) {
			list := words((*requiredPrivileges)(p).Privileges)
			c.Privileges = &list
		}},
		{windows.SERVICE_CONFIG_FAILURE_ACTIONS, func(p unsafe.Pointer) {
			f := (*windows.SERVICE_FAILURE_ACTIONS)(p)
			c.Recovery = &recovery{ResetAfter: f.ResetPeriod}
			for _, a := range unsafe.Slice(f.Actions, f.ActionsCount) {
				c.Recovery.Actions = append(c.Recovery.Actions, action{a.Type, a.Delay})
			}
		}},
		{windows.SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, func(p unsafe.Pointer) {
			if c.Recovery != nil {
				c.Recovery.NotOnlyCrashes = (*windows.SERVICE_FAILURE_ACTIONS_FLAG)(p).FailureActionsOnNonCrashFailures != 0
			}
		}},
	} {
		b, err := grown(func(b []byte, need *uint32) error {
			return windows.QueryServiceConfig2(h, piece.level, &b[0], uint32(len(b)), need)
		})
		if unsupported(err) {
			continue
		}
		if err != nil {
			return err
		}
		piece.take(unsafe.Pointer(&b[0]))
	}
	return nil
}

// grown calls query with a buffer that is large enough: 8 KiB are the most that
// these calls take.
func grown(query func(b []byte, need *uint32) error) ([]byte, error) {
	const limit = 8 << 10
	b := make([]byte, limit)
	var need uint32
	err := query(b, &need)
	return b, err
}
