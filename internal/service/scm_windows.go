package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// SCM is Windows' service control manager.
type SCM struct{}

const (
	// manager rights: to look takes no administrator.
	lookRights   = windows.SC_MANAGER_CONNECT
	changeRights = windows.SC_MANAGER_CONNECT | windows.SC_MANAGER_CREATE_SERVICE
)

// with calls f with a handle to the service; found is false where there is none.
func (SCM) with(name string, managerRights, rights uint32, f func(manager, service windows.Handle) error) (found bool, err error) {
	m, err := windows.OpenSCManager(nil, nil, managerRights)
	if err != nil {
		return false, scmError("open the service manager", err)
	}
	defer windows.CloseServiceHandle(m) //nolint:errcheck // nothing is lost
	n, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return false, err
	}
	s, err := windows.OpenService(m, n, rights)
	if errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) {
		return false, f(m, 0)
	}
	if err != nil {
		return false, scmError("open the service "+name, err)
	}
	defer windows.CloseServiceHandle(s) //nolint:errcheck // nothing is lost
	return true, f(m, s)
}

func scmError(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, windows.ERROR_ACCESS_DENIED):
		return fmt.Errorf("%s: %w: it takes an elevated administrator: %w", what, fault.ErrDenied, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Look is that of [Manager].
func (s SCM) Look(name string) (Found, error) {
	found := Found{State: Absent}
	_, err := s.with(name, lookRights, windows.SERVICE_QUERY_CONFIG|windows.SERVICE_QUERY_STATUS, func(_, h windows.Handle) error {
		if h == 0 {
			return nil
		}
		c, err := readConfig(h)
		if err != nil {
			return scmError("read the service "+name, err)
		}
		found.Program = c.Command
		if found.Saved, err = json.Marshal(c); err != nil {
			return err
		}
		return found.status(h)
	})
	return found, err
}

func (f *Found) status(h windows.Handle) error {
	var st windows.SERVICE_STATUS_PROCESS
	var n uint32
	err := windows.QueryServiceStatusEx(h, windows.SC_STATUS_PROCESS_INFO, (*byte)(unsafe.Pointer(&st)), uint32(unsafe.Sizeof(st)), &n)
	if err != nil {
		return scmError("ask for the service's state", err)
	}
	switch st.CurrentState {
	case windows.SERVICE_RUNNING:
		f.State = Running
	case windows.SERVICE_START_PENDING, windows.SERVICE_CONTINUE_PENDING:
		f.State = Starting
	case windows.SERVICE_STOP_PENDING, windows.SERVICE_PAUSE_PENDING, windows.SERVICE_PAUSED:
		f.State = Stopping
	default:
		f.State = Stopped
	}
	f.PID = int(st.ProcessId)
	if f.State == Stopped {
		f.Ended = ended(st.Win32ExitCode, st.ServiceSpecificExitCode)
	}
	return nil
}

// ended are the words for how a service ended. One that has never run since the
// host started has its own code.
func ended(code, specific uint32) string {
	switch windows.Errno(code) {
	case windows.ERROR_SUCCESS, windows.ERROR_SERVICE_NEVER_STARTED:
		return ""
	case windows.ERROR_SERVICE_SPECIFIC_ERROR:
		return ExitCode(specific).String()
	}
	return fmt.Sprintf("%v (%d)", windows.Errno(code), code)
}

// Differences is that of [Manager].
func (s SCM) Differences(d Definition) ([]string, error) {
	found, err := s.Look(d.Name)
	if err != nil {
		return nil, err
	}
	if found.State == Absent {
		return []string{"there is no service " + d.Name}, nil
	}
	var got serviceConfig
	if err := json.Unmarshal(found.Saved, &got); err != nil {
		return nil, err
	}
	return got.differences(configOf(d)), nil
}

// Define is that of [Manager].
func (s SCM) Define(d Definition) ([]string, error) {
	found, err := s.Look(d.Name)
	if err != nil {
		return nil, err
	}
	if found.Saved != nil {
		var there serviceConfig
		if err := json.Unmarshal(found.Saved, &there); err != nil {
			return nil, err
		}
		// It could not be brought back: nobody can read its password.
		if !strings.EqualFold(there.Account, localSystem) {
			return nil, fmt.Errorf("%w: there is a service %s that runs as %s, not as %s; remove it first", fault.ErrDenied, d.Name, there.Account, localSystem)
		}
	}
	return s.put(d.Name, configOf(d))
}

// Restore is that of [Manager].
func (s SCM) Restore(name string, saved json.RawMessage) error {
	if saved != nil {
		var c serviceConfig
		if err := json.Unmarshal(saved, &c); err != nil {
			return fmt.Errorf("%w: %w", fault.ErrMalformed, err)
		}
		_, err := s.put(name, c)
		return err
	}
	_, err := s.with(name, lookRights, windows.DELETE, func(_, h windows.Handle) error {
		if h == 0 {
			return nil
		}
		err := windows.DeleteService(h)
		if errors.Is(err, windows.ERROR_SERVICE_MARKED_FOR_DELETE) {
			return nil
		}
		return scmError("remove the service "+name, err)
	})
	return err
}

// put makes the service, or changes it.
func (s SCM) put(name string, c serviceConfig) (warnings []string, err error) {
	const rights = windows.SERVICE_CHANGE_CONFIG | windows.SERVICE_QUERY_CONFIG | windows.SERVICE_START // start: for the recovery actions
	_, err = s.with(name, changeRights, rights, func(m, h windows.Handle) error {
		if h == 0 {
			if h, err = create(m, name, rights, c); err != nil {
				return scmError("make the service "+name, err)
			}
			defer windows.CloseServiceHandle(h) //nolint:errcheck // nothing is lost
		} else if err := change(h, c); err != nil {
			return scmError("change the service "+name, err)
		}
		warnings, err = writeOptional(h, c)
		return err
	})
	return warnings, err
}

// Start is that of [Manager].
func (s SCM) Start(ctx context.Context, name string) error {
	found, err := s.with(name, lookRights, windows.SERVICE_START|windows.SERVICE_QUERY_STATUS, func(_, h windows.Handle) error {
		if h == 0 {
			return nil
		}
		err := windows.StartService(h, 0, nil)
		if err != nil && !errors.Is(err, windows.ERROR_SERVICE_ALREADY_RUNNING) {
			return scmError("start the service "+name, startError(err))
		}
		return s.await(ctx, h, name, Running)
	})
	if err == nil && !found {
		err = fmt.Errorf("service %s: %w", name, fault.ErrNotFound)
	}
	return err
}

func startError(err error) error {
	if errors.Is(err, windows.ERROR_SERVICE_REQUEST_TIMEOUT) || errors.Is(err, windows.ERROR_BAD_EXE_FORMAT) || errors.Is(err, windows.ERROR_FILE_NOT_FOUND) {
		return fmt.Errorf("%w: its program did not come up as a service: %w", fault.ErrUnavailable, err)
	}
	return err
}

// Stop is that of [Manager].
func (s SCM) Stop(ctx context.Context, name string) error {
	_, err := s.with(name, lookRights, windows.SERVICE_STOP|windows.SERVICE_QUERY_STATUS, func(_, h windows.Handle) error {
		if h == 0 {
			return nil
		}
		for {
			var st windows.SERVICE_STATUS
			err := windows.ControlService(h, windows.SERVICE_CONTROL_STOP, &st)
			switch {
			case errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE):
				return nil
			case err == nil:
				return s.await(ctx, h, name, Stopped)
			case !errors.Is(err, windows.ERROR_SERVICE_CANNOT_ACCEPT_CTRL):
				return scmError("stop the service "+name, err)
			}
			// It is starting, or ends already.
			var f Found
			if err := f.status(h); err != nil || f.State == Stopped {
				return err
			}
			if err := pause(ctx); err != nil {
				return fmt.Errorf("stop the service %s, which is %s: %w", name, f.State, err)
			}
		}
	})
	return err
}

// await waits for a state. A service that ends instead of running is an error.
func (SCM) await(ctx context.Context, h windows.Handle, name string, want State) error {
	for {
		var f Found
		if err := f.status(h); err != nil {
			return err
		}
		switch {
		case f.State == want:
			return nil
		case f.State == Stopped:
			return &EndedError{name, f.Ended}
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("service %s is %s, not %s: %w", name, f.State, want, err)
		}
	}
}

// pause is between two looks at a service: the manager has no way to wait that
// a context ends.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(askAgain):
		return nil
	}
}

// command is a program and its arguments as CreateService takes them.
func command(d Definition) string {
	words := []string{windows.EscapeArg(d.Program)}
	for _, a := range d.Args {
		words = append(words, windows.EscapeArg(a))
	}
	return strings.Join(words, " ")
}

// differences are those of what the manager could say; nil is what it could not.
func (c serviceConfig) differences(want serviceConfig) (all []string) {
	differ := func(what string, same bool) {
		if !same {
			all = append(all, "the service's "+what+" is not what is installed")
		}
	}
	if c.Command != want.Command {
		all = append(all, fmt.Sprintf("the service runs %s, not %s", c.Command, want.Command))
	}
	differ("account", strings.EqualFold(c.Account, want.Account))
	differ("start type", c.StartType == want.StartType)
	differ("type", c.Type == want.Type)
	differ("name", c.DisplayName == want.DisplayName)
	differ("list of dependencies", len(c.Dependencies) == 0)
	differ("description", c.Description == nil || *c.Description == *want.Description)
	differ("delayed start", c.Delayed == nil || *c.Delayed == *want.Delayed)
	differ("SID type", c.SIDType == nil || *c.SIDType == *want.SIDType)
	differ("list of privileges", c.Privileges == nil || slices.Equal(*c.Privileges, *want.Privileges))
	differ("recovery", c.Recovery == nil || c.Recovery.equal(*want.Recovery))
	return all
}
