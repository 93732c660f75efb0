// Package contract is shared by the formats of contracts: the interfaces that they
// implement, faults, the shape of a contract, the folder of a catalogue's files,
// and JSON.
//
// The package's rule: it knows no format, no catalogue and no broker.
package contract

import "fmt"

// A Codec is the contract of one subject in one format. It converts the JSON that
// people write and read to its wire form, and back. It is safe for concurrent use,
// and does not retain the data passed to it.
//
// Encode accepts the output of Decode, and its result decodes to the same JSON.
// Encoding what an encoded event decodes to gives the same bytes.
type Codec interface {
	// Encode checks an author's data, which should be one JSON value, and returns
	// its wire form, or all faults. It refuses unknown fields.
	Encode(data []byte) (wire []byte, faults []Fault)

	// Decode returns wire data as JSON on one line, or its faults. It accepts
	// additions by a newer publisher.
	Decode(wire []byte) (data []byte, faults []Fault)

	// Sample returns valid data, made from the contract alone.
	Sample() ([]byte, error)

	// Shape returns the contract's shape. Callers must not change it.
	Shape() *Shape

	// Source returns the text of the contract, in its format, with a final newline.
	Source() string
}

// A Compiler makes the codecs of one format from the files of one catalogue. It is
// safe for concurrent use, and compiles contracts on demand.
type Compiler interface {
	// Compile returns the codec of a contract. An invalid file of the catalogue is
	// a [*SourceError].
	Compile(r Reference) (Codec, error)
}

// A Reference names a contract, as in a catalogue's manifest.
type Reference struct {
	File     string // relative to the catalogue's folder, with slashes
	Name     string // in the file, what follows a "#": "" where the manifest names nothing
	Encoding string // "", or what the manifest says of a format with several
}

func (r Reference) String() string {
	if r.Name == "" {
		return r.File
	}
	return r.File + "#" + r.Name
}

// A SourceError is a fault of a file of a catalogue.
type SourceError struct {
	File    string // relative to the catalogue's folder
	Line    int    // from 1; 0 if not known
	Problem string
}

func (e *SourceError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Problem)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Problem)
}

// A Format is a language for contracts.
type Format struct {
	Name      string   // in messages, and of its folder in tests and exports: "avro"
	Title     string   // for people: "Avro"
	Extension string   // of its files: ".avsc"
	Encodings []string // allowed in a manifest, the default first; nil if there is only one
	Evolution Evolution
	New       func(*Folder) Compiler
}

func (f *Format) String() string { return f.Name }

// An Evolution describes how readers with one version of a contract read data
// written with another.
type Evolution struct {
	Numbered      bool // fields and enum values are identified by number, not by name
	AllFieldsSent bool // optional fields are always sent
	KeepsValues   bool // readers keep unknown enum values

	// Reads reports whether a reader of one kind certainly reads every value
	// written as another, different kind.
	Reads func(reader, writer string) bool
}
