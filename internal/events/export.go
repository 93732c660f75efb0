package events

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"nats-test/internal/events/contract"
	"nats-test/internal/events/ticketing"
)

// An ExportedFile is a file of an exported catalogue.
type ExportedFile struct {
	Name string // relative to the folder, with slashes
	Data []byte
}

// asTypeScript is the export that is not a format of contracts.
const asTypeScript = "typescript"

// ExportKinds returns the kinds of export of the built-in catalogue.
func ExportKinds() []string {
	kinds := make([]string, len(formats), len(formats)+1)
	for i, f := range formats {
		kinds[i] = f.Name
	}
	return append(kinds, asTypeScript)
}

// ExportTicketing returns the built-in catalogue as the files of a catalogue
// folder, sorted by name, or as TypeScript types for services.
func ExportTicketing(as string) ([]ExportedFile, error) {
	switch kinds := ExportKinds(); {
	case as == asTypeScript:
		return Ticketing().TypeScript()
	case !slices.Contains(kinds, as):
		return nil, fmt.Errorf("exporting as %q: must be one of %s", as, strings.Join(kinds, ", "))
	}
	var all []ExportedFile
	files := ticketing.Files(as)
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, name)
		all = append(all, ExportedFile{name, data})
		return err
	})
	slices.SortFunc(all, func(a, b ExportedFile) int { return strings.Compare(a.Name, b.Name) })
	return all, err
}

// WriteFiles writes files into the folder dir, and creates it if needed. It
// overwrites nothing: if a file exists, the error wraps [fs.ErrExist]. After an
// error, it removes all that it wrote.
func WriteFiles(dir string, files []ExportedFile) (err error) {
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if !filepath.IsLocal(filepath.FromSlash(f.Name)) {
			return fmt.Errorf("writing %q: not a file name inside the folder; nothing was written", f.Name)
		}
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("writing %q: %w; nothing was written", path, fs.ErrExist)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("writing %q: %w; nothing was written", path, contract.Reason(err))
		}
	}
	var made []string // files and folders
	defer func() {
		if err == nil {
			return
		}
		for _, path := range slices.Backward(made) {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	if err := makeFolder(dir, &made); err != nil {
		return fmt.Errorf("making the folder %q: %w; nothing was written", dir, contract.Reason(err))
	}
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		err := makeFolder(filepath.Dir(path), &made)
		if err == nil {
			err = writeNew(path, f.Data, &made)
		}
		if err != nil {
			return fmt.Errorf("writing %q: %w; nothing was kept of the export", path, contract.Reason(err))
		}
	}
	return nil
}

// makeFolder creates a folder and its parents, and lists those created.
func makeFolder(path string, made *[]string) error {
	err := os.Mkdir(path, 0o755)
	switch parent := filepath.Dir(path); {
	case err == nil:
		*made = append(*made, path)
	case errors.Is(err, fs.ErrNotExist) && parent != path:
		if err := makeFolder(parent, made); err != nil {
			return err
		}
		if err = os.Mkdir(path, 0o755); err == nil {
			*made = append(*made, path)
		}
	case errors.Is(err, fs.ErrExist):
		if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
			return nil
		}
	}
	return err
}

func writeNew(path string, data []byte, made *[]string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	*made = append(*made, path)
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}
