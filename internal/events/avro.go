package events

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/twmb/avro"
)

// avroFormat is Avro. Every field of a record travels. Readers take the default
// of an enum, if it has one, for a value that they don't know: it is open then.
var avroFormat = &Format{
	Name: "avro", Title: "Avro", Extension: ".avsc",
	Encodings: []string{avroSingleObject, avroBinary},
	Evolution: Evolution{AllFieldsSent: true, Reads: readsAvro},
	New:       func(f *folder) compiler { return newAvros(f) },
}

// avros compiles the contracts of a catalogue that are written in Avro.
type avros struct {
	folder *folder

	mu     sync.Mutex // guards what follows: decoding may ask for another version
	files  map[string]*avroFile
	listed bool        // whether list holds all files of the folder
	list   []*avroFile // in order of name
	broken error       // why one is not in the list

	versions  map[uint64]string // every schema of the folder, by its fingerprint; nil before it is asked for
	assembled int               // bytes of these
}

func newAvros(f *folder) *avros {
	return &avros{folder: f, files: map[string]*avroFile{}}
}

const (
	avroSingleObject = "single-object"
	avroBinary       = "binary"
)

func (a *avros) compile(r reference) (codec, error) {
	switch r.encoding {
	case "", avroSingleObject, avroBinary:
	default:
		return nil, &SourceError{File: r.file, Problem: fmt.Sprintf("encoding %q is unknown: must be %q or %q",
			r.encoding, avroSingleObject, avroBinary)}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f, err := a.open(r.file)
	if err != nil {
		return nil, err
	}
	t, namespace, err := f.entry(r.name)
	if err != nil {
		return nil, err
	}
	text, err := newAvroSchema(a, f, t, namespace)
	if err != nil {
		return nil, err
	}
	schema, err := avro.Parse(text)
	if err != nil {
		return nil, f.refused(err)
	}
	root, err := newAvroType(schema.Root())
	if err != nil {
		return nil, &SourceError{File: f.name, Problem: err.Error()}
	}
	c := &avroCodec{files: a, text: text, root: root, definition: string(f.data)}
	if r.encoding != avroBinary {
		c.header = binary.LittleEndian.AppendUint64(avroMagic(), fingerprint(schema))
	}
	if r.name != "" {
		var b bytes.Buffer
		if err := json.Indent(&b, f.data[t.begin:t.end], "", "  "); err != nil {
			return nil, &SourceError{File: f.name, Problem: err.Error()}
		}
		c.definition = b.String()
	}
	if !strings.HasSuffix(c.definition, "\n") {
		c.definition += "\n"
	}
	return c, nil
}

// refused is what the library finds wrong with a schema of the file.
func (f *avroFile) refused(err error) error {
	problem := &SourceError{File: f.name, Problem: strings.TrimPrefix(err.Error(), "avro: ")}
	if parts := strings.SplitN(problem.Problem, `"`, 3); len(parts) == 3 {
		if i := bytes.Index(f.data, []byte(`"`+parts[1]+`"`)); i >= 0 {
			problem.Line = lineAt(f.data, i)
		}
	}
	return problem
}

// open returns a file of the folder, parsed.
func (a *avros) open(name string) (*avroFile, error) {
	if f := a.files[name]; f != nil {
		return f, nil
	}
	data, err := a.folder.read(name)
	if err != nil {
		return nil, err
	}
	f, err := parseAvroFile(name, data)
	if err != nil {
		return nil, err
	}
	a.files[name] = f
	return f, nil
}

// all returns all files of the folder that can be read, in order of name.
func (a *avros) all() []*avroFile {
	if a.listed {
		return a.list
	}
	a.listed = true
	names, err := a.folder.names(".avsc")
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

func (a *avros) names() (known []string, broken error) {
	return nameSet(a.all()), a.broken
}

// find returns the definition of a type as file sees it: its own, or else the
// one of the other files. It is nil if there is none.
func (a *avros) find(name string, file *avroFile) (*avroDefinition, error) {
	if d := file.named[name]; d != nil {
		return d, nil
	}
	var found *avroDefinition
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
func (a *avros) version(fingerprint uint64) (text string, ok bool) {
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

// maxAssembled bounds the schemas that are compared with a foreign fingerprint.
const maxAssembled = 16 << 20

// addVersion leaves out what is no schema: some contract may tell.
func (a *avros) addVersion(f *avroFile, name string) {
	t, namespace, err := f.entry(name)
	if err != nil {
		return
	}
	text, err := newAvroSchema(a, f, t, namespace)
	if err != nil {
		return
	}
	// Every type stands there with all that it refers to.
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

func avroMagic() []byte { return []byte{0xc3, 0x01} }
