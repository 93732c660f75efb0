package events

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
)

// A package that one can survey has few files, and a file one subject.
func TestPackagesAreSmall(t *testing.T) {
	const mostFiles, mostLines = 12, 320
	files := make(map[string]int)
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return err
		}
		files[path.Dir(name)]++
		text, err := os.ReadFile(name)
		if n := bytes.Count(text, []byte("\n")); n > mostLines {
			t.Errorf("%s has %d lines, more than %d", name, n, mostLines)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, n := range files {
		if n > mostFiles {
			t.Errorf("%s has %d files, more than %d", dir, n, mostFiles)
		}
	}
}
