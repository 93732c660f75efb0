package events

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree lists the content of a folder, or nothing if it does not exist.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, _ fs.DirEntry, err error) error {
		if name != "." {
			names = append(names, name)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

func TestWriteFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	files := mustExport(t, "proto")
	if err := WriteFiles(dir, files); err != nil {
		t.Fatal(err)
	}
	if got, want := tree(t, dir), "events.yaml ticketing ticketing/v1 ticketing/v1/events.proto"; got != want {
		t.Errorf("the folder has %s, want %s", got, want)
	}
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if got, err := os.ReadFile(path); err != nil || string(got) != string(f.Data) {
			t.Errorf("%s: %v\n%s", f.Name, err, got)
		}
	}
	if err := WriteFiles(dir, mustExport(t, "typescript")); err != nil {
		t.Errorf("beside other files: %v", err)
	}
}

// The existing file would be written last.
func TestWriteFilesOverwritesNothing(t *testing.T) {
	for _, as := range ExportKinds() {
		dir := t.TempDir()
		files := mustExport(t, as)
		last := filepath.Join(dir, filepath.FromSlash(files[len(files)-1].Name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(last), 0o755), os.WriteFile(last, []byte("mine"), 0o644)); err != nil {
			t.Fatal(err)
		}
		before := tree(t, dir)
		err := WriteFiles(dir, files)
		if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), last) || !strings.HasSuffix(err.Error(), "nothing was written") {
			t.Errorf("%s: %v", as, err)
		}
		if after := tree(t, dir); after != before {
			t.Errorf("%s: the folder has %s, had %s", as, after, before)
		}
		if text, err := os.ReadFile(last); err != nil || string(text) != "mine" {
			t.Errorf("%s: %q, %v", as, text, err)
		}
	}
}

func TestWriteFilesLeavesNothingAfterAnError(t *testing.T) {
	file := func(names ...string) (files []ExportedFile) {
		for _, name := range names {
			files = append(files, ExportedFile{Name: name, Data: []byte("x")})
		}
		return files
	}
	for _, test := range []struct {
		name  string
		files []ExportedFile
		want  string
	}{
		{"a file where a folder should be", file("sub/a", "b", "b/c"), "nothing was kept"},
		{"one name twice", file("sub/a", "sub/a"), "nothing was kept"},
		{"outside of the folder", file("a", "../b"), "nothing was written"},
	} {
		top := t.TempDir()
		err := WriteFiles(filepath.Join(top, "x", "y"), test.files)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), filepath.FromSlash(test.files[len(test.files)-1].Name)) {
			t.Errorf("%s: %v", test.name, err)
		}
		if left := tree(t, top); left != "" {
			t.Errorf("%s: left %s", test.name, left)
		}
	}

	top := t.TempDir()
	at := filepath.Join(top, "taken")
	if err := os.WriteFile(at, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := WriteFiles(at, slices.Clone(file("a"))); err == nil || tree(t, top) != "taken" {
		t.Errorf("a file in the folder's place: %v", err)
	}
}
