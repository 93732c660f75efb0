package contract

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// A Folder holds the files of a catalogue. No file outside of it can be read,
// through ".." or a symbolic link.
type Folder struct {
	path  string
	files fs.FS // of an embedded folder; else nil
}

// NewFolder returns the folder at a path.
func NewFolder(path string) *Folder { return &Folder{path: path} }

// EmbeddedFolder returns a folder of files that are part of the program.
func EmbeddedFolder(files fs.FS) *Folder { return &Folder{files: files} }

// Limits of a catalogue: bytes per file, and files.
const (
	MaxFile  = 4 << 20
	maxFiles = 10_000
)

// Read returns the content of a file, named relative to the folder, with slashes.
// Its errors are [*SourceError]s.
func (f *Folder) Read(name string) ([]byte, error) {
	fail := func(format string, args ...any) ([]byte, error) {
		return nil, &SourceError{File: name, Problem: fmt.Sprintf(format, args...)}
	}
	if !fs.ValidPath(name) {
		return fail("must be the name of a file in the catalogue's folder, without %q and with slashes", "..")
	}
	file, err := f.open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail("there is no such file in the catalogue's folder")
	case err != nil:
		return fail("%v", Reason(err))
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return fail("is no file")
	}
	data, err := io.ReadAll(io.LimitReader(file, MaxFile+1))
	switch {
	case err != nil:
		return fail("%v", Reason(err))
	case len(data) > MaxFile:
		return fail("has more than %d MiB", MaxFile>>20)
	}
	return data, nil
}

func (f *Folder) open(name string) (fs.File, error) {
	if f.files != nil {
		return f.files.Open(name)
	}
	root, err := os.OpenRoot(f.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	// Opening a named pipe must not block.
	return root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// Reason returns err without its operation and path.
func Reason(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// Names returns the sorted names of all files with the extension, such as ".avsc",
// in the folder and below. It skips names that begin with a dot, and node_modules.
func (f *Folder) Names(extension string) ([]string, error) {
	var found []string
	files := f.files
	if files == nil {
		files = os.DirFS(f.path)
	}
	seen := 0
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return &SourceError{File: name, Problem: Reason(err).Error()}
		}
		if seen++; seen > maxFiles {
			return &SourceError{File: ".", Problem: fmt.Sprintf("the folder holds more than %d files", maxFiles)}
		}
		base := path.Base(name)
		switch {
		case d.IsDir() && name != "." && (strings.HasPrefix(base, ".") || base == "node_modules"):
			return fs.SkipDir
		case !d.IsDir() && !strings.HasPrefix(base, ".") && path.Ext(base) == extension:
			found = append(found, name)
		}
		return nil
	})
	slices.Sort(found)
	return found, err
}
