package stores

import (
	"encoding/json"
	"path/filepath"
	"strings"
)

// local is the store beside the agent. It has no server: who asks it reads
// files.
type local struct{ h *host }

func startLocal(h *host) server { return local{h} }

// settings has hosts beside each other share the store.
func (l local) settings() map[string]any {
	return map[string]any{"secrets": map[string]any{"local": map[string]any{"dir": l.dir()}}}
}

func (l local) dir() string            { return l.h.path("local") }
func (l local) ref(name string) string { return "local://" + name }
func (l local) credentials() []string  { return nil }

// become knows of no other condition: there is nobody who could be in one.
func (l local) become(to condition) bool { return to == healthy }

// put is what an administrator does, with the command line. What is no
// credential gets there as damage.
func (l local) put(name, content string) {
	l.h.Helper()
	var c struct{ DomainName, Username, Password string }
	if json.Unmarshal([]byte(content), &c) != nil {
		l.h.write(filepath.Join(l.dir(), name+".secret"), content)
		return
	}
	cmd := l.h.command("secret", "put", "--domain", c.DomainName, "--user", c.Username, name)
	cmd.Stdin = strings.NewReader(c.Password)
	if out, err := cmd.CombinedOutput(); err != nil {
		l.h.Fatalf("secret put: %v: %s", err, out)
	}
}

func (l local) remove(name string) {
	l.h.Helper()
	if out, err := l.h.command("secret", "remove", name).CombinedOutput(); err != nil {
		l.h.Fatalf("secret remove: %v: %s", err, out)
	}
}

// requests is what the agent says, for nobody else is asked.
func (l local) requests(string) int {
	for _, s := range l.h.status().Stores {
		if s.Scheme == "local" {
			return int(s.Fetches)
		}
	}
	return 0
}
