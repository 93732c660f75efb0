package jsonschema

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	neturl "net/url"
	"path"
	"slices"
	"strings"
	"sync"

	"nats-test/internal/events/contract"
)

// schemaFiles are the files of a catalogue as the validator sees them: documents at
// URLs. Only the folder is read, whatever the URL.
type schemaFiles struct {
	folder *contract.Folder
	mu     sync.RWMutex           // shapes are made while the compiler opens files
	opened map[string]*schemaFile // by name
	ids    map[string][]string    // the names of the files with an "$id"; nil until it is needed
	places map[string]string      // URL prefixes and their folders
}

func newSchemaFiles(f *contract.Folder) *schemaFiles {
	return &schemaFiles{folder: f, opened: make(map[string]*schemaFile), places: make(map[string]string)}
}

// folderURL is the URL of the catalogue's folder. Without a folder in it, the
// validator could not tell "../x.json" from "x.json".
const folderURL = "catalogue:///folder/"

// open returns a file of the folder, or a [*SourceError].
func (s *schemaFiles) open(name string) (*schemaFile, error) {
	if f, ok := s.opened[name]; ok {
		return f, f.err
	}
	text, err := s.folder.Read(name)
	if err != nil {
		return nil, err
	}
	f := newSchemaFile(name, text)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened[name] = f
	if f.err != nil {
		return nil, f.err
	}
	// Files without an "$id" are resolved relative to those with one.
	if id, err := neturl.Parse(f.id()); err == nil && id.Opaque == "" {
		prefix := id.String()[:strings.LastIndex(id.String(), "/")+1]
		if _, ok := s.places[prefix]; !ok {
			s.places[prefix] = path.Dir(name)
		}
	}
	return f, nil
}

// load returns the document at url.
func (s *schemaFiles) load(url string) (any, error) {
	var notFound error
	if name, ok := inFolder(url); ok {
		f, err := s.open(name)
		if err == nil {
			return f.doc, nil
		}
		if _, ok := s.opened[name]; ok {
			return nil, err // it exists, but is not JSON
		}
		notFound = err
	}
	if s.ids == nil {
		if err := s.readIDs(); err != nil {
			return nil, err
		}
	}
	names := s.ids[url]
	if len(names) > 1 {
		return nil, fmt.Errorf("several files have this $id: %s", strings.Join(names, ", "))
	}
	for _, prefix := range s.prefixes() {
		if rest, ok := strings.CutPrefix(url, prefix); ok && len(names) == 0 {
			if name, err := neturl.PathUnescape(path.Join(s.places[prefix], rest)); err == nil {
				if _, err := s.folder.Read(name); err == nil {
					names = []string{name}
				}
			}
		}
	}
	switch source := (*contract.SourceError)(nil); {
	case len(names) == 1:
		f, err := s.open(names[0])
		if err != nil {
			return nil, err
		}
		return f.doc, nil
	case errors.As(notFound, &source):
		return nil, errors.New(source.Problem)
	case strings.HasPrefix(url, "catalogue:"):
		return nil, errors.New("that is outside of the catalogue's folder")
	}
	return nil, errors.New("no file in the catalogue's folder has this $id, and nothing is downloaded")
}

// prefixes returns the prefixes in s.places, the longest first.
func (s *schemaFiles) prefixes() []string {
	return slices.SortedFunc(maps.Keys(s.places), func(a, b string) int {
		return cmp.Or(len(b)-len(a), cmp.Compare(a, b))
	})
}

// inFolder returns the name of the file at url.
func inFolder(url string) (string, bool) {
	rest, ok := strings.CutPrefix(url, folderURL)
	if !ok || strings.ContainsAny(rest, "?#") {
		return "", false
	}
	name, err := neturl.PathUnescape(rest)
	return name, err == nil
}

// readIDs reads the "$id" of every file. A file that is not JSON has none.
func (s *schemaFiles) readIDs() error {
	names, err := s.folder.Names(".json")
	if err != nil {
		return err
	}
	s.ids = make(map[string][]string)
	for _, name := range names {
		text, err := s.folder.Read(name)
		if err != nil {
			continue
		}
		var root struct {
			ID string `json:"$id"`
		}
		if json.Unmarshal(text, &root) == nil && root.ID != "" {
			id := (&schemaFile{name: name, doc: map[string]any{"$id": root.ID}}).id()
			s.ids[id] = append(s.ids[id], name)
		}
	}
	return nil
}

// place returns the file of a schema's location, and the JSON pointer within.
func (s *schemaFiles) place(location string) (*schemaFile, string) {
	url, fragment, _ := strings.Cut(location, "#")
	pointer, err := neturl.PathUnescape(fragment)
	if err != nil {
		return nil, ""
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if name, ok := inFolder(url); ok && s.opened[name] != nil {
		return s.opened[name], pointer
	}
	for _, name := range slices.Sorted(maps.Keys(s.opened)) {
		if f := s.opened[name]; f.id() == url {
			return f, pointer
		}
	}
	for _, prefix := range s.prefixes() {
		rest, ok := strings.CutPrefix(url, prefix)
		if f := s.opened[path.Join(s.places[prefix], rest)]; ok && f != nil {
			return f, pointer
		}
	}
	return nil, ""
}
