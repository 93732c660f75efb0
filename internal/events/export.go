package events

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"nats-test/internal/events/ticketing"
)

// An ExportedFile is a file of an exported catalogue.
type ExportedFile struct {
	Name string // relative to the folder, with slashes
	Data []byte
}

// asTypeScript is an export beside those in the formats of contracts.
const asTypeScript = "typescript"

// ExportKinds returns what the built-in catalogue can be exported as.
func ExportKinds() []string {
	kinds := make([]string, len(formats), len(formats)+1)
	for i, f := range formats {
		kinds[i] = f.Name
	}
	return append(kinds, asTypeScript)
}

// ExportTicketing returns the built-in catalogue as the files of a catalogue
// folder, sorted by name; as TypeScript, the types that a service compiles in.
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
