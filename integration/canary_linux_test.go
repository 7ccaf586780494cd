package integration_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
	"unicode/utf16"
)

// passwords are the plugin users' passwords, in every encoding that Windows
// programs have for text.
func (c *chain) passwords() [][]byte {
	var all [][]byte
	for _, p := range [][]byte{c.ad.Contoso.Plugin.Password, c.ad.Fabrikam.Plugin.Password} {
		var wide []byte
		for _, u := range utf16.Encode([]rune(string(p))) {
			wide = append(wide, byte(u), byte(u>>8))
		}
		all = append(all, p, wide)
	}
	return all
}

func (c *chain) has(data []byte) bool {
	for _, p := range c.passwords() {
		if bytes.Contains(data, p) {
			return true
		}
	}
	return false
}

// canary looks at command lines and environments while the test runs.
type canary struct {
	stop func()
	mu   sync.Mutex
	seen []string // where a password was
}

// watchForPasswords looks at every process of the machine until the canary is
// stopped: short-lived ones, too, as far as one look each 10 ms sees them.
func (c *chain) watchForPasswords() *canary {
	k := &canary{}
	end := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		looks := map[string]int{}
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				c.lookAtProcesses(k, looks)
			}
		}
	})
	k.stop = sync.OnceFunc(func() { close(end); done.Wait() })
	c.Cleanup(k.stop)
	return k
}

// looksAtProcess is how often a process is looked at: its command line is its
// parent's until it has become what it shall be.
const looksAtProcess = 5

func (c *chain) lookAtProcesses(k *canary, looks map[string]int) {
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return
	}
	for _, dir := range processes {
		if looks[dir]++; looks[dir] > looksAtProcess {
			continue
		}
		for _, name := range []string{"cmdline", "environ"} {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err == nil && c.has(data) { // one that has ended has neither
				k.mu.Lock()
				k.seen = append(k.seen, dir+"/"+name)
				k.mu.Unlock()
			}
		}
	}
}

// noPassword searches what all of the tests have left: the lab's whole drive
// and registry, logs, audit trail, the doubles' records.
func (c *chain) noPassword(k *canary) {
	k.stop()
	if len(k.seen) > 0 {
		c.Errorf("processes had a password in their arguments or environment: %v", k.seen)
	}
	searched := 0
	err := filepath.WalkDir(c.lab.Dir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if info, err := d.Info(); err == nil {
			if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink > 1 {
				return nil // Wine's own, which the lab's template shares
			}
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		searched++
		if c.has(data) {
			c.Errorf("%s has a password", path)
		}
		return nil
	})
	if err != nil {
		c.Error(err)
	}
	if searched < 50 { // registry hives, programs, logs, bundles, state
		c.Errorf("only %d files were searched: the search is void", searched)
	}
}
