package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// procThreadAttributeJobList has a process begin its life in jobs.
//
//	#define PROC_THREAD_ATTRIBUTE_JOB_LIST ProcThreadAttributeValue(ProcThreadAttributeJobList /* 13 */, FALSE, TRUE, FALSE)
//
// https://learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-updateprocthreadattribute
const procThreadAttributeJobList = 13 | 0x00020000

// handOver runs the real shim with everything that containerd gave to this
// process, and ends this process with the real shim's exit code. It returns only
// if the real shim cannot be run.
//
// containerd ends a start that takes too long by ending this process; the real
// shim ends with it, through a job that lives as long as this process. The serve
// process that it starts is not in the job and outlives both.
func handOver(shim string, _ []string) error {
	code, err := runAndWait(shim)
	if err != nil {
		return fmt.Errorf("gmsa-agent: shim wrapper: run the real shim %s: %w", shim, err)
	}
	windows.ExitProcess(code)
	return nil
}

func runAndWait(shim string) (exitCode uint32, err error) {
	// A console's events reach the real shim too. It decides; this process waits
	// for what it decides. (Taking them in a handler is not inherited.)
	signal.Notify(make(chan os.Signal, 1), os.Interrupt, syscall.SIGTERM)

	commandLine, err := windows.UTF16PtrFromString(windows.EscapeArg(shim) + argumentsOf(windows.UTF16PtrToString(windows.GetCommandLine())))
	if err != nil {
		return 0, err
	}
	application, err := windows.UTF16PtrFromString(shim)
	if err != nil {
		return 0, err
	}
	job, err := tiedJob()
	if err != nil {
		return 0, err
	}
	attributes, err := windows.NewProcThreadAttributeList(1)
	if err != nil {
		return 0, err
	}
	defer attributes.Delete()
	if err := attributes.Update(procThreadAttributeJobList, unsafe.Pointer(&job), unsafe.Sizeof(job)); err != nil {
		return 0, err
	}
	start := windows.StartupInfoEx{ProcThreadAttributeList: attributes.List()}
	start.Cb = uint32(unsafe.Sizeof(start))
	start.Flags = windows.STARTF_USESTDHANDLES
	for id, handle := range map[uint32]*windows.Handle{
		windows.STD_INPUT_HANDLE:  &start.StdInput,
		windows.STD_OUTPUT_HANDLE: &start.StdOutput,
		windows.STD_ERROR_HANDLE:  &start.StdErr,
	} {
		// None at all is what the real shim gets too, then.
		*handle, _ = windows.GetStdHandle(id)
	}
	var process windows.ProcessInformation
	// The environment and the working folder are this process's (nil); the
	// handles are the ones that this process inherited.
	err = windows.CreateProcess(application, commandLine, nil, nil, true, windows.EXTENDED_STARTUPINFO_PRESENT, nil, nil, &start.StartupInfo, &process)
	if err != nil {
		return 0, err
	}
	_ = windows.CloseHandle(process.Thread)
	if _, err := windows.WaitForSingleObject(process.Process, windows.INFINITE); err != nil {
		return 0, err
	}
	err = windows.GetExitCodeProcess(process.Process, &exitCode)
	return exitCode, err
}

// tiedJob returns a job whose processes end when this process does: its only
// handle is not inherited, and is closed with it. What they start is not part of
// the job.
func tiedJob() (windows.Handle, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return 0, err
	}
	limits := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{
			LimitFlags: windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | windows.JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK,
		},
	}
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits)))
	return job, err
}

// argumentsOf returns a command line from behind the program's name, blanks
// included, so that no argument is quoted anew. The name ends as C programs and
// Go take it to end: at the closing quote if it begins with one, else at a blank.
func argumentsOf(commandLine string) string {
	if rest, quoted := strings.CutPrefix(commandLine, `"`); quoted {
		_, arguments, _ := strings.Cut(rest, `"`)
		return arguments
	}
	if end := strings.IndexAny(commandLine, " \t"); end >= 0 {
		return commandLine[end:]
	}
	return ""
}
