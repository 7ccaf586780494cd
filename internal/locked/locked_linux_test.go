package locked

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapping is what the kernel says is locked of the mapping that has address,
// and whether that mapping is left out of core dumps.
func mapping(t *testing.T, address uintptr) (lockedKiB int, noDump bool) {
	t.Helper()
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	heads := regexp.MustCompile(`(?m)^([0-9a-f]+)-([0-9a-f]+) `).FindAllSubmatchIndex(smaps, -1)
	for i, h := range heads {
		from, _ := strconv.ParseUint(string(smaps[h[2]:h[3]]), 16, 64)
		to, _ := strconv.ParseUint(string(smaps[h[4]:h[5]]), 16, 64)
		if uint64(address) < from || uint64(address) >= to {
			continue
		}
		end := len(smaps)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		text := smaps[h[0]:end]
		if m := regexp.MustCompile(`(?m)^Locked:\s+(\d+) kB`).FindSubmatch(text); m != nil {
			lockedKiB, _ = strconv.Atoi(string(m[1]))
		}
		return lockedKiB, regexp.MustCompile(`(?m)^VmFlags:.* dd( |$)`).Match(text)
	}
	t.Fatalf("no mapping has %#x", address)
	return 0, false
}

func needLock(t *testing.T) {
	t.Helper()
	b := New(1)
	defer b.Release()
	if err := Refused(); errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOMEM) {
		t.Skipf("this process may not lock memory: %v", err)
	}
}

func TestTheKernelLocksTheMemoryAndLeavesItOutOfDumps(t *testing.T) {
	needLock(t)
	b := New(100)
	address := uintptr(unsafe.Pointer(unsafe.SliceData(b.pages)))
	if locked, noDump := mapping(t, address); locked == 0 || !noDump {
		t.Errorf("in use: %d KiB locked, left out of dumps %v", locked, noDump)
	}
	b.Release()
	if locked, noDump := mapping(t, address); locked != 0 || noDump {
		t.Errorf("released: %d KiB locked, left out of dumps %v", locked, noDump)
	}
}

// The finalizer makes pages ordinary again that nobody released.
func TestForgottenMemoryIsUnlocked(t *testing.T) {
	needLock(t)
	total := func() int {
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`(?m)^VmLck:\s+(\d+) kB`).FindSubmatch(status)
		if m == nil {
			t.Fatal("no VmLck")
		}
		n, _ := strconv.Atoi(string(m[1]))
		return n
	}
	before := total()
	for range 64 {
		New(1)
	}
	for range 100 {
		runtime.GC()
		if total() <= before {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d KiB locked before, %d after the buffers were forgotten", before, total())
}

func TestWithoutTheRightToLockThereIsMemoryAndAReason(t *testing.T) {
	if os.Getenv("LOCKED_TEST_LIMIT") == "" {
		cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), "LOCKED_TEST_LIMIT=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	// In a process of its own: a limit, and no capability to exceed it.
	runtime.LockOSThread()
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{}); err != nil {
		t.Fatal(err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		t.Fatal(err)
	}
	b := New(10)
	copy(b.Bytes(), "usable")
	if string(b.Bytes()[:6]) != "usable" || Refused() == nil {
		t.Errorf("%q, refused: %v", b.Bytes(), Refused())
	}
	b.Release()
}

func TestNoDumpIsSeenByTheKernel(t *testing.T) {
	if os.Getenv("LOCKED_TEST_NODUMP") == "" {
		cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), "LOCKED_TEST_NODUMP=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if err := NoDump(); err != nil {
		t.Fatal(err)
	}
	if v, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || v != 0 {
		t.Error(fmt.Sprint(v, err))
	}
}
