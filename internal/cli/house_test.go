package cli_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A package has at most 12 files outside tests, and a file at most 320 lines.
func TestNoPackageIsCrowded(t *testing.T) {
	const mostFiles, mostLines = 12, 320
	files := make(map[string]int)
	for _, root := range []string{".", "../conn"} {
		err := filepath.WalkDir(root, func(name string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			files[filepath.Dir(name)]++
			text, err := os.ReadFile(name)
			if n := bytes.Count(text, []byte("\n")); n > mostLines {
				t.Errorf("%s has %d lines, at most %d are allowed", name, n, mostLines)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for dir, n := range files {
		if n > mostFiles {
			t.Errorf("%s has %d files, at most %d are allowed", dir, n, mostFiles)
		}
	}
}
