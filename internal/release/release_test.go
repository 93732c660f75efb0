package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// From two clones of a commit come the same files; and they are what users install. The
// commit is of the files as they are here, in a repository of its own.
func TestRelease(t *testing.T) {
	t.Parallel()
	repository := filepath.Join(t.TempDir(), "git")
	git := []string{"git", "--git-dir=" + repository, "--work-tree=../..", "-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"}
	for _, argv := range [][]string{{"init", "--quiet"}, {"add", "--all", "../.."}, {"commit", "--quiet", "--message", "a release"}} {
		output(t, append(git, argv...)...)
	}
	revision := strings.TrimSpace(output(t, append(git, "rev-parse", "HEAD")...))
	only := runtime.GOOS + "_" + runtime.GOARCH
	outs := []string{t.TempDir(), t.TempDir()}
	for i, out := range outs {
		umask := []string{"022", "077"}[i]
		for _, file := range []string{"nats-test_0.0.1_image.tar", "notes.txt"} { // of an earlier release, and of somebody
			if err := os.WriteFile(filepath.Join(out, file), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		source := filepath.Join(t.TempDir(), "clone")
		output(t, "sh", "-c", `umask "$1" && git clone --quiet "$2" "$3"`, "sh", umask, repository, source)
		if err := run(t.Context(), source, out, only); err != nil {
			t.Fatal(err)
		}
	}
	sums := read(t, filepath.Join(outs[0], "SHA256SUMS"))
	if again := read(t, filepath.Join(outs[1], "SHA256SUMS")); sums != again {
		t.Errorf("two runs differ:\n%s\n%s", sums, again)
	}
	for line := range strings.Lines(sums) {
		sum, file, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if got := fmt.Sprintf("%x", sha256.Sum256([]byte(read(t, filepath.Join(outs[0], file))))); got != sum {
			t.Errorf("%s has the sum %s", file, got)
		}
	}
	read(t, filepath.Join(outs[0], "notes.txt"))
	t.Run("archive", func(t *testing.T) { testArchive(t, outs[0], revision) })
	testPackages(t, outs[0])
}

// testArchive unpacks the archive for this machine and runs what is in it.
func testArchive(t *testing.T, made, revision string) {
	dir := t.TempDir()
	zr, err := gzip.NewReader(strings.NewReader(read(t, find(t, made, "*_"+runtime.GOARCH+".tar.gz"))))
	if err != nil {
		t.Fatal(err)
	}
	untar(t, zr, dir)
	top := find(t, dir, "nats-test_*")
	for _, program := range programs {
		version := output(t, filepath.Join(top, program), "--version", "-o", "json")
		for _, want := range []string{`"program":"` + program, `"revision":"` + revision, `"platform":"` + runtime.GOOS} {
			if !strings.Contains(version, want) {
				t.Errorf("%s --version lacks %s: %s", program, want, version)
			}
		}
		for file, want := range map[string]string{
			"man/man1/" + program + ".1":       "EXIT STATUS",
			"completions/" + program + ".bash": "__start_" + program,
			"completions/" + program + ".zsh":  "#compdef " + program,
			"completions/" + program + ".fish": "complete -c " + program,
			"completions/" + program + ".ps1":  "-CommandName '" + program,
		} {
			if !strings.Contains(read(t, filepath.Join(top, file)), want) {
				t.Errorf("%s lacks %q", file, want)
			}
		}
	}
	if list := read(t, filepath.Join(top, "LICENSES", "LIST")); !strings.Contains(list, "nats.go@") || !strings.Contains(list, "go: BSD-3-Clause") {
		t.Errorf("the licences are\n%s", list)
	}
}

func TestZip(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var b bytes.Buffer
	err := writeZip(&b, fstest.MapFS{
		"publish.exe":     {Data: []byte("program"), Mode: 0o700},
		"man/man1/read.1": {Data: []byte("page"), Mode: 0o600},
	}, "top", at)
	if err != nil {
		t.Fatal(err)
	}
	zr, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range zr.File {
		got = append(got, fmt.Sprint(f.Name, " ", f.Mode(), f.Modified.Equal(at)))
	}
	if want := "[top/man/man1/read.1 -rw-r--r-- true top/publish.exe -rwxr-xr-x true]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// What has no licence, or a text that is none, is not released.
func TestLicenceGap(t *testing.T) {
	t.Parallel()
	known := read(t, "../../third_party/jsonschema/LICENSE")
	for name, c := range map[string]struct {
		files fstest.MapFS
		fails bool
	}{
		"of the module":  {fstest.MapFS{"LICENSE": {Data: []byte(known)}, "a/b/x.go": {}}, false},
		"of the package": {fstest.MapFS{"a/b/COPYING.txt": {Data: []byte(known)}}, false},
		"of another":     {fstest.MapFS{"c/LICENSE": {Data: []byte(known)}, "a/b/x.go": {}}, true},
		"no licence":     {fstest.MapFS{"LICENSE": {Data: []byte("all rights reserved")}, "a/b/x.go": {}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.CopyFS(dir, c.files); err != nil {
				t.Fatal(err)
			}
			p := linked{ImportPath: "example.com/m/a/b", Dir: filepath.Join(dir, "a", "b")}
			p.Module = &module{Path: "example.com/m", Version: "v1.0.0", Dir: dir}
			texts, err := licencesOf([]linked{p}, "")
			if (err != nil) != c.fails {
				t.Errorf("error %v, texts %v", err, texts)
			}
			if !c.fails && string(texts["LIST"]) != "example.com/m@v1.0.0: Apache-2.0\n" {
				t.Errorf("%s", texts["LIST"])
			}
		})
	}
}

// The pages in docs/reference are those of the commands as they are.
func TestReference(t *testing.T) {
	t.Parallel()
	dir, kept := t.TempDir(), "../../docs/reference"
	if err := writeReference(dir); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{dir, kept} {
		entries, err := os.ReadDir(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			want, err := os.ReadFile(filepath.Join(dir, e.Name()))
			got, err2 := os.ReadFile(filepath.Join(kept, e.Name()))
			if err := errors.Join(err, err2); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("docs/reference/%s is not what the command says (make reference): %v", e.Name(), err)
			}
		}
	}
}

// output runs a command and returns what it prints.
func output(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return string(out)
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// find returns the only file in a folder that matches.
func find(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s in %s: %v %v", pattern, dir, found, err)
	}
	return found[0]
}

func untar(t *testing.T, r io.Reader, dir string) {
	t.Helper()
	for tr := tar.NewReader(r); ; {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, header.Name)
		if header.Typeflag == tar.TypeDir {
			err = os.MkdirAll(name, 0o755)
		} else {
			content, e := io.ReadAll(tr)
			err = errors.Join(e, os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, content, fs.FileMode(header.Mode)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
