package cache

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

func (w *world) path(name string) string { return filepath.Join(w.dir, nameOf(ref(name))+suffix) }

// files are the names in the folder.
func (w *world) files() (names []string) {
	w.t.Helper()
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (w *world) readFile(name string) []byte {
	w.t.Helper()
	b, err := os.ReadFile(w.path(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *world) writeFile(path string, b []byte) {
	w.t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func TestARestartedAgentHasTheDocumentAndItsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		start := time.Now()
		w.want(document, false, 1)
		w.restart()
		// It may be configured otherwise by now, so that the source is asked
		// first.
		w.want(document, false, 2)
		if _, transferred := w.counts(); transferred != 1 {
			t.Error("the document was transferred again")
		}
		w.fail(errDown)
		w.restart()
		if doc := w.want(document, true, 3); !doc.Confirmed.Equal(start) || doc.Origin != "bucket/web" {
			t.Errorf("%+v", doc)
		}
		time.Sleep(w.limits.Stale)
		w.restart()
		w.want(document, true, 4)
		time.Sleep(time.Nanosecond)
		w.restart()
		w.wantError(fault.ErrUnavailable, "confirmed 72h0m0s ago")
	})
}

func TestTheFileCarriesNoReference(t *testing.T) {
	w := newWorld(t)
	r := credspec.Ref{Scheme: "https", Rest: "host/x?sig=canary"}
	w.put(r.Rest, document)
	if _, err := w.Front(w.origin, w.limits).Resolve(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	w.close()
	for _, name := range w.files() {
		if b, err := os.ReadFile(filepath.Join(w.dir, name)); err != nil || bytes.Contains(bytes.ReplaceAll(b, []byte("bucket/"+r.Rest), nil), []byte("canary")) {
			t.Errorf("%v: it has the query", err)
		}
	}
}

func TestAConfirmationIsWrittenNowAndThenAndTheAgeIsNeverTooLow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want(document, false, 1)
		w.save()
		first := w.readFile("web")
		requests := 1
		var confirmed time.Time
		for range 10 { // five minutes
			time.Sleep(w.limits.Fresh)
			requests++
			confirmed = w.want(document, false, requests).Confirmed
			w.save()
		}
		if !bytes.Equal(w.readFile("web"), first) {
			t.Error("each confirmation is written")
		}
		// A killed agent: nothing is written at its end.
		killed := w.Cache
		w.open()
		w.fail(errDown)
		if doc := w.want(document, true, requests+1); doc.Confirmed.After(confirmed) {
			t.Errorf("confirmed %v, in truth %v", doc.Confirmed, confirmed)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := killed.Close(); err != nil { // an agent that is stopped writes it
			t.Fatal(err)
		}
		w.open()
		if doc := w.want(document, true, requests+2); !doc.Confirmed.Equal(confirmed) {
			t.Errorf("confirmed %v, in truth %v", doc.Confirmed, confirmed)
		}
		w.fail(nil)
		for range 21 {
			time.Sleep(w.limits.Fresh)
			if _, err := w.mux.Resolve(t.Context(), ref("web")); err != nil {
				t.Fatal(err)
			}
		}
		w.save()
		if bytes.Equal(w.readFile("web"), first) {
			t.Error("ten minutes, and nothing was written")
		}
	})
}

func TestAClockThatIsSetBackMakesNoDocumentYounger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want(document, false, 1)
		w.close()
		h, confirmed, err := decode(nameOf(ref("web")), w.readFile("web"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := encode(nameOf(ref("web")), h, confirmed.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		w.writeFile(w.path("web"), b)
		w.open()
		w.fail(errDown)
		w.wantError(fault.ErrUnavailable, "in the future")
		if s := w.Stats(); len(s.Documents) != 1 || !s.Documents[0].Confirmed.IsZero() {
			t.Errorf("%+v", s.Documents)
		}
		if doc, err := w.mux.Resolve(t.Context(), pinned("web", document)); err != nil || string(doc.Data) != document {
			t.Errorf("by its digest: %v, %v", doc, err)
		}
		// Put right, it is what it was.
		w.close()
		time.Sleep(time.Hour)
		w.open()
		w.want(document, true, 3)
		w.fail(nil)
		time.Sleep(Pause)
		w.want(document, false, 4)
		if _, transferred := w.counts(); transferred != 1 {
			t.Error("the document was transferred again")
		}
	})
}

func TestAgeIsTheLongerOfTwoClocks(t *testing.T) {
	start := time.Now()
	later := start.Add(time.Minute)
	for name, tt := range map[string]struct {
		now, confirmed time.Time
		want           time.Duration
	}{
		"both":                   {later, start, time.Minute},
		"only the wall clock":    {later, start.Round(0), time.Minute},
		"nobody knows":           {later, time.Time{}, 1<<63 - 1},
		"suspended for a minute": {later.Round(0), start, time.Minute},
	} {
		if got := age(tt.now, tt.confirmed); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// damage checks that a damaged file is not served, said once, and costs one
// request.
func (w *world) damage(what string, damage func(path string)) {
	w.t.Helper()
	w.fail(nil)
	if _, err := w.mux.Resolve(w.t.Context(), ref("web")); err != nil {
		w.t.Fatal(err)
	}
	w.close()
	damage(w.path("web"))
	w.open()
	w.fail(errDown)
	doc, err := w.mux.Resolve(w.t.Context(), ref("web"))
	if !errors.Is(err, fault.ErrUnavailable) {
		w.t.Fatalf("%s: served %v, %v", what, doc, err)
	}
	if !strings.Contains(w.logs.String(), nameOf(ref("web"))) {
		w.t.Errorf("%s: the log does not name the file", what)
	}
	w.logs.b.Reset()
}

// A folder that becomes usable while a request is under way has files of
// documents that are about to be replaced.
func TestAFileThatIsReadLateDoesNotReplaceWhatTheSourceSaid(t *testing.T) {
	w := newWorld(t)
	w.want(document, false, 1)
	w.restart()
	w.put("web", changed)
	name := nameOf(ref("web"))
	f := w.Front(w.origin, w.limits).(*front)
	if _, _, err := f.resolve(t.Context(), name, ref("web")); err != nil { // without a look at the file
		t.Fatal(err)
	}
	w.Cache.mu.Lock()
	e := w.entries[name]
	w.Cache.mu.Unlock()
	w.read(e)
	if doc, err := f.Resolve(t.Context(), ref("web")); err != nil || string(doc.Data) != changed {
		t.Errorf("%v, %v", doc, err)
	}
}

func TestADamagedFileIsNeverServed(t *testing.T) {
	w := newWorld(t)
	w.put("other", changed)
	if _, err := w.mux.Resolve(t.Context(), ref("other")); err != nil {
		t.Fatal(err)
	}
	w.want(document, false, 2)
	w.close()
	whole, other := w.readFile("web"), w.readFile("other")
	w.open()
	for n := 0; n < len(whole); n += 1 + n/7 {
		w.damage(fmt.Sprintf("%d of %d bytes", n, len(whole)), func(path string) { w.writeFile(path, whole[:n]) })
	}
	for i := 0; i < len(whole); i += 31 {
		b := slices.Clone(whole)
		b[i] ^= 1
		w.damage(fmt.Sprintf("byte %d changed", i), func(path string) { w.writeFile(path, b) })
	}
	w.damage("a byte more", func(path string) { w.writeFile(path, append(slices.Clone(whole), 'x')) })
	w.damage("another reference's", func(path string) { w.writeFile(path, other) })
	w.damage("a newer version's", func(path string) {
		w.writeFile(path, bytes.Replace(whole, []byte("spec 1\n"), []byte("spec 2\n"), 1))
	})
	w.damage("somebody else's", func(path string) { w.writeFile(path, []byte("{}")) })
	if strings.Contains(w.logs.String(), "webapp01") {
		t.Error("the log quotes the document")
	}
}

func TestWhatIsNoFileIsNotFollowed(t *testing.T) {
	w := newWorld(t)
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	for name, put := range map[string]func(path string) error{
		"a folder":         func(path string) error { return os.MkdirAll(filepath.Join(path, "x"), 0o700) },
		"a link":           func(path string) error { return os.Symlink(elsewhere, path) },
		"a link to itself": func(path string) error { return os.Symlink(filepath.Base(path), path) },
		"something huge":   func(path string) error { return os.WriteFile(path, make([]byte, maxFile+1), 0o600) },
	} {
		w.want(document, false, 1)
		w.close()
		if name == "a link" {
			w.writeFile(elsewhere, w.readFile("web"))
		}
		if err := errors.Join(os.RemoveAll(w.path("web")), put(w.path("web"))); err != nil {
			t.Skip(err) // links take a privilege on Windows
		}
		w.open()
		w.fail(errDown)
		w.wantError(fault.ErrUnavailable, "no document of it is cached")
		w.fail(nil)
		w.want(document, false, 3)
		w.restart()
		if name == "a folder" {
			if err := os.RemoveAll(w.path("web")); err != nil {
				t.Fatal(err)
			}
		} else {
			w.fail(errDown)
			w.want(document, true, 4) // it was replaced
			w.fail(nil)
		}
		if name == "a link" {
			if info, err := os.Lstat(w.path("web")); err != nil || !info.Mode().IsRegular() {
				t.Errorf("%v, %v", info, err)
			}
		}
		w.close()
		w.set(func() { w.requests = 0 })
		if err := os.RemoveAll(w.path("web")); err != nil {
			t.Fatal(err)
		}
		w.open()
	}
}

func TestForeignFilesAreLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.close()
	foreign := []string{"README", strings.Repeat("A", 64) + suffix, "0a" + suffix, strings.Repeat("0", 64)}
	for _, name := range foreign {
		w.writeFile(filepath.Join(w.dir, name), []byte("x"))
	}
	w.writeFile(filepath.Join(w.dir, private.TempPrefix+"dead"), []byte("half"))
	w.open()
	w.want(document, false, 1)
	w.restart()
	names := w.files()
	for _, name := range foreign {
		if !slices.Contains(names, name) {
			t.Errorf("%s is gone", name)
		}
	}
	if len(names) != len(foreign)+1 {
		t.Errorf("files: %v", names)
	}
}

func TestTheLeastRecentlyUsedGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		use := func(name string) {
			t.Helper()
			w.put(name, document)
			if _, err := w.mux.Resolve(t.Context(), ref(name)); err != nil {
				t.Fatal(err)
			}
		}
		w.folder.step = func(string) error { return errors.New("not now: it takes long") }
		for i := range MaxDocuments {
			use(fmt.Sprint(i))
		}
		use("0")
		use("one more")
		s := w.Stats()
		if s.Entries != MaxDocuments || s.Evictions != 1 || len(s.Documents) != MaxListed {
			t.Errorf("%d entries, %d evicted, %d listed", s.Entries, s.Evictions, len(s.Documents))
		}
		before, _ := w.counts()
		use("0")
		use("2")
		w.wantRequests(before)
		use("1")
		w.wantRequests(before + 1)
	})
}

func TestTheLongestDocumentsAreBoundedToo(t *testing.T) {
	w := newWorld(t)
	long := document + strings.Repeat(" ", credspec.MaxSize-len(document))
	n := MaxBytes/credspec.MaxSize + 2
	for i := range n {
		name := fmt.Sprint(i)
		w.put(name, long)
		if _, err := w.mux.Resolve(t.Context(), ref(name)); err != nil {
			t.Fatal(err)
		}
	}
	w.restart()
	size := int64(0)
	for _, name := range w.files() {
		info, err := os.Stat(filepath.Join(w.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if s := w.Stats(); s.Entries >= n || size > MaxBytes || size < MaxBytes/2 {
		t.Errorf("%d entries, %d bytes", s.Entries, size)
	}
}

func TestAFolderThatIsTooFullIsClearedFromItsOldest(t *testing.T) {
	w := newWorld(t)
	w.want(document, false, 1)
	w.close()
	b := w.readFile("web")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(w.path("web"), old, old); err != nil {
		t.Fatal(err)
	}
	for i := range MaxDocuments {
		w.writeFile(w.path(fmt.Sprint(i)), b)
	}
	w.open()
	w.put("new", document)
	if _, err := w.mux.Resolve(t.Context(), ref("new")); err != nil {
		t.Fatal(err)
	}
	w.close()
	names := w.files()
	if len(names) > MaxDocuments || slices.Contains(names, filepath.Base(w.path("web"))) || !slices.Contains(names, filepath.Base(w.path("new"))) {
		t.Errorf("%d files", len(names))
	}
}

func TestAFolderThatCannotBeUsedCostsOnlyWhatIsInIt(t *testing.T) {
	for name, spoil := range map[string]func(w *world) error{
		"a file in its place": func(w *world) error { return errors.Join(os.Remove(w.dir), os.WriteFile(w.dir, nil, 0o600)) },
		"a link in its place": func(w *world) error { return errors.Join(os.Remove(w.dir), os.Symlink("nowhere", w.dir)) },
		"open to others":      func(w *world) error { return os.Chmod(w.dir, 0o777) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.close()
				if err := spoil(w); err != nil {
					t.Skip(err)
				}
				if private.Folder(w.dir) == nil {
					t.Skip("Windows has no modes") // its access lists are the business of internal/private
				}
				w.open()
				w.want(document, false, 1)
				time.Sleep(w.limits.Fresh)
				w.fail(errDown)
				w.want(document, true, 2) // from memory
				synctest.Wait()
				if n := strings.Count(w.logs.String(), "level=WARN"); n != 1 || !strings.Contains(w.logs.String(), w.dir) {
					t.Errorf("logged %d times: %s", n, w.logs)
				}
				if s := w.Stats(); s.Entries != 1 {
					t.Errorf("%+v", s)
				}
				// Once it is mended it is used, without a restart.
				if err := os.RemoveAll(w.dir); err != nil {
					t.Fatal(err)
				}
				w.fail(nil)
				time.Sleep(retry)
				w.want(document, false, 3)
				w.restart()
				w.fail(errDown)
				w.want(document, true, 4)
			})
		})
	}
}

func TestAFolderThatCanBeUsedLateHasNothingThatWasTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want(document, false, 1)
		w.close()
		away := w.dir + "-away"
		if err := errors.Join(os.Rename(w.dir, away), os.WriteFile(w.dir, nil, 0o600)); err != nil {
			t.Skip(err)
		}
		w.open()
		w.fail(fault.ErrNotFound)
		w.wantError(fault.ErrNotFound)
		if err := errors.Join(os.Remove(w.dir), os.Rename(away, w.dir)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(retry)
		w.save()
		w.fail(errDown)
		w.wantError(fault.ErrUnavailable, "no document of it is cached")
		if names := w.files(); len(names) != 0 {
			t.Errorf("left: %v", names)
		}
	})
}

func TestAFolderThatIsRemovedMeanwhileIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.limits.Fresh = 0
		w.configure()
		w.want(document, false, 1)
		synctest.Wait()
		if err := os.RemoveAll(w.dir); err != nil {
			t.Fatal(err)
		}
		w.put("web", changed)
		w.want(changed, false, 2)
		synctest.Wait()
		time.Sleep(retry)
		w.want(changed, false, 3)
		synctest.Wait()
		w.fail(errDown)
		w.restart()
		w.want(changed, true, 4)
	})
}

func TestAFullDiskLeavesNoOlderDocumentBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.limits.Fresh = 0
		w.configure()
		w.want(document, false, 1)
		synctest.Wait()
		w.save()
		full := true
		w.folder.step = func(step string) error {
			if full && step == "half written" {
				return &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
			}
			return nil
		}
		w.put("web", changed)
		w.want(changed, false, 2)
		synctest.Wait()
		if names := w.files(); len(names) != 0 {
			t.Errorf("left: %v", names)
		}
		if !strings.Contains(w.logs.String(), syscall.ENOSPC.Error()) {
			t.Errorf("logged: %s", w.logs)
		}
		w.want(changed, false, 3)
		full = false
		time.Sleep(retry)
		w.want(changed, false, 4) // and it is written after all
		synctest.Wait()
		w.fail(errDown)
		w.restart()
		w.want(changed, true, 5)
	})
}

func TestAClosedCacheAnswersOnAndWritesNothing(t *testing.T) {
	w := newWorld(t)
	w.limits.Fresh = 0
	w.configure()
	w.want(document, false, 1)
	w.close()
	before := w.readFile("web")
	w.put("web", changed)
	w.want(changed, false, 2)
	w.save()
	if !bytes.Equal(w.readFile("web"), before) {
		t.Error("it wrote")
	}
}

func TestTheFilesAreForTheAgentAlone(t *testing.T) {
	w := newWorld(t)
	w.close()
	w.dir = filepath.Join(w.dir, "new", "folder")
	w.open()
	w.want(document, false, 1)
	w.close()
	for path, want := range map[string]os.FileMode{w.dir: 0o700, w.path("web"): 0o600} {
		if info, err := os.Stat(path); err != nil || os.PathSeparator == '/' && info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	name := nameOf(ref("web"))
	h := &held{data: []byte(document), shown: "s3://web", origin: "bucket/web", tag: `W/"1"`, digest: credspec.Digest([]byte(document))}
	whole, err := encode(name, h, time.Unix(1e9, 5))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte(magic))
	f.Add([]byte(magicPrefix + "2\n"))
	f.Add(seal([]byte(magic + "{}\n{}")))
	f.Add(seal([]byte(magic)))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, seal(append([]byte(magic), b...))} {
			h, confirmed, err := decode(name, b)
			if err != nil {
				if !errors.Is(err, fault.ErrMalformed) && !errors.Is(err, errors.ErrUnsupported) {
					t.Fatalf("error %v has no kind", err)
				}
				continue
			}
			if h.digest != credspec.Digest(h.data) || len(h.data) == 0 || len(h.data) > credspec.MaxSize {
				t.Fatal("a document without its digest")
			}
			again, err := encode(name, h, confirmed)
			if err != nil {
				t.Fatal(err)
			}
			if twice, at, err := decode(name, again); err != nil || twice.digest != h.digest || twice.tag != h.tag || !at.Equal(confirmed) {
				t.Fatalf("written and read again: %v", err)
			}
		}
	})
}
