package service

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

// LogName is the agent's log where no service manager keeps one: Windows' has
// no place for what a service prints. The file before it ends in ".1".
const LogName = "agent.log"

// GateLogName is that of Docker's gate, which is a process of its own.
const GateLogName = "docker-gate.log"

// maxLog is what one file may have; with the one before it, at most twice that
// is kept. A busy host logs a megabyte a day.
const maxLog = 10 << 20

// Log is a log file that does not grow for ever.
type Log struct {
	mu   sync.Mutex
	path string
	most int64
	file *os.File
	size int64
}

// OpenLog opens the log of that name in a folder for administrators alone, which
// is made if it is missing.
func OpenLog(dir, name string) (*Log, error) {
	if err := private.Folder(dir); err != nil {
		return nil, err
	}
	l := &Log{path: filepath.Join(dir, name), most: maxLog}
	return l, l.open()
}

func (l *Log) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.size = f, info.Size()
	return nil
}

// Write writes one line, whole, into one file.
func (l *Log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size > 0 && l.size+int64(len(line)) > l.most {
		if err := l.turn(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	return n, err
}

// turn begins a new file. Where the old one cannot be set aside, because
// somebody looks at it, it goes on.
func (l *Log) turn() error {
	if err := l.file.Close(); err != nil {
		return err
	}
	if err := os.Rename(l.path, l.path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		if opened := l.open(); opened != nil {
			return errors.Join(err, opened)
		}
		l.size = 0 // tried again as late as with a new one
		return nil
	}
	return l.open()
}

// Close closes the file.
func (l *Log) Close() error { return l.file.Close() }
