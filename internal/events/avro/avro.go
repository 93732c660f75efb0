// Package avro compiles contracts in .avsc files, and converts JSON to Avro's
// binary encoding and back, with or without the header of a single object.
package avro

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/twmb/avro"

	"nats-test/internal/events/contract"
)

// Format is Avro. All fields of a record are sent. Readers replace unknown enum
// values by the enum's default, if it has one; such an enum is open.
var Format = &contract.Format{
	Name: "avro", Title: "Avro", Extension: ".avsc",
	Encodings: []string{singleObject, bareBinary},
	Evolution: contract.Evolution{AllFieldsSent: true, Reads: readsAvro},
	New:       func(f *contract.Folder) contract.Compiler { return newCompiler(f) },
}

// compiler compiles the Avro contracts of a catalogue.
type compiler struct {
	folder *contract.Folder

	mu     sync.Mutex // guards the fields below: decoding may look for another version
	files  map[string]*sourceFile
	listed bool          // whether list holds all files of the folder
	list   []*sourceFile // sorted by name
	broken error         // why a file is missing in list

	versions  map[uint64]string // all schemas of the folder by fingerprint; nil before first use
	assembled int               // their size in bytes
}

func newCompiler(f *contract.Folder) *compiler {
	return &compiler{folder: f, files: map[string]*sourceFile{}}
}

const (
	singleObject = "single-object"
	bareBinary   = "binary"
)

func (a *compiler) Compile(r contract.Reference) (contract.Codec, error) {
	switch r.Encoding {
	case "", singleObject, bareBinary:
	default:
		return nil, &contract.SourceError{File: r.File, Problem: fmt.Sprintf("encoding %q is unknown: must be %q or %q",
			r.Encoding, singleObject, bareBinary)}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f, err := a.open(r.File)
	if err != nil {
		return nil, err
	}
	t, namespace, err := f.entry(r.Name)
	if err != nil {
		return nil, err
	}
	text, err := assemble(a, f, t, namespace)
	if err != nil {
		return nil, err
	}
	schema, err := avro.Parse(text)
	if err != nil {
		return nil, f.refused(err)
	}
	root, err := newType(schema.Root())
	if err != nil {
		return nil, &contract.SourceError{File: f.name, Problem: err.Error()}
	}
	c := &typeCodec{files: a, text: text, root: root, definition: string(f.data)}
	if r.Encoding != bareBinary {
		c.header = binary.LittleEndian.AppendUint64(magic(), fingerprint(schema))
	}
	if r.Name != "" {
		var b bytes.Buffer
		if err := json.Indent(&b, f.data[t.Begin:t.End], "", "  "); err != nil {
			return nil, &contract.SourceError{File: f.name, Problem: err.Error()}
		}
		c.definition = b.String()
	}
	if !strings.HasSuffix(c.definition, "\n") {
		c.definition += "\n"
	}
	return c, nil
}

// refused wraps an error of the library about a schema of the file.
func (f *sourceFile) refused(err error) error {
	problem := &contract.SourceError{File: f.name, Problem: strings.TrimPrefix(err.Error(), "avro: ")}
	if parts := strings.SplitN(problem.Problem, `"`, 3); len(parts) == 3 {
		if i := bytes.Index(f.data, []byte(`"`+parts[1]+`"`)); i >= 0 {
			problem.Line = contract.LineAt(f.data, i)
		}
	}
	return problem
}

// open returns a parsed file of the folder.
func (a *compiler) open(name string) (*sourceFile, error) {
	if f := a.files[name]; f != nil {
		return f, nil
	}
	data, err := a.folder.Read(name)
	if err != nil {
		return nil, err
	}
	f, err := parseFile(name, data)
	if err != nil {
		return nil, err
	}
	a.files[name] = f
	return f, nil
}

// all returns all readable files of the folder, sorted by name.
func (a *compiler) all() []*sourceFile {
	if a.listed {
		return a.list
	}
	a.listed = true
	names, err := a.folder.Names(".avsc")
	a.broken = err
	for _, name := range names {
		f, err := a.open(name)
		if err == nil {
			a.list = append(a.list, f)
		} else if a.broken == nil {
			a.broken = err
		}
	}
	return a.list
}

func (a *compiler) names() (known []string, broken error) {
	return nameSet(a.all()), a.broken
}

// find returns the definition of a type used in file: the file's own, otherwise
// that of another file. It is nil if there is none.
func (a *compiler) find(name string, file *sourceFile) (*definition, error) {
	if d := file.named[name]; d != nil {
		return d, nil
	}
	var found *definition
	for _, f := range a.all() {
		d := f.named[name]
		switch {
		case d == nil:
		case found == nil:
			found = d
		case !d.same(found):
			return nil, d.problem("%q is defined differently in %s, and %s uses it", name, found.file.name, file.name)
		}
	}
	return found, nil
}

// version returns the schema of the folder with a fingerprint.
func (a *compiler) version(fingerprint uint64) (text string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.versions == nil {
		a.versions = map[uint64]string{}
		for _, f := range a.all() {
			a.addVersion(f, "")
			for _, d := range f.types {
				a.addVersion(f, d.name)
			}
		}
	}
	text, ok = a.versions[fingerprint]
	return text, ok
}

// maxAssembled limits the size of the schemas compared with an unknown fingerprint.
const maxAssembled = 16 << 20

// addVersion adds a type's schema, and skips invalid ones: if a contract uses one,
// compiling that reports it.
func (a *compiler) addVersion(f *sourceFile, name string) {
	t, namespace, err := f.entry(name)
	if err != nil {
		return
	}
	text, err := assemble(a, f, t, namespace)
	if err != nil {
		return
	}
	// The text of every type includes all types that it refers to.
	if a.assembled += len(text); a.assembled > maxAssembled {
		return
	}
	if schema, err := avro.Parse(text); err == nil {
		if key := fingerprint(schema); a.versions[key] == "" {
			a.versions[key] = text
		}
	}
}

// fingerprint is the CRC-64-AVRO of the schema's Parsing Canonical Form.
func fingerprint(s *avro.Schema) uint64 {
	return binary.BigEndian.Uint64(s.Fingerprint(avro.NewRabin()))
}

func magic() []byte { return []byte{0xc3, 0x01} }
