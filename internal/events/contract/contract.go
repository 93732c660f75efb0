// Package contract is what the formats of contracts implement and share: the
// interfaces, faults, the shape of a contract, the folder that its files are
// read from, and JSON.
//
// The package's rule: it knows no format, no catalogue and no broker.
package contract

import "fmt"

// A Codec is the contract of one subject in one format: it turns the JSON that
// people write and read into its wire form, and back. It may be used by several
// goroutines, and keeps nothing of the bytes it is given.
//
// Encode accepts the output of Decode, and its result decodes to the same JSON. What
// Encode made is made again, byte for byte, of what it decodes to.
type Codec interface {
	// Encode checks an author's data, which should be one JSON value, and
	// returns its wire form, or everything that is wrong with the data. It
	// refuses fields that the contract does not name.
	Encode(data []byte) (wire []byte, faults []Fault)

	// Decode returns what came over the wire as JSON on one line, or what is
	// wrong with it. It accepts what a newer publisher may have added.
	Decode(wire []byte) (data []byte, faults []Fault)

	// Sample returns data that keeps the contract, made from the contract alone.
	Sample() ([]byte, error)

	// Shape returns what the two sides rely on. It must not be changed.
	Shape() *Shape

	// Source returns the contract in the format's own language, with a line end.
	Source() string
}

// A Compiler makes the codecs of one format from the files of one catalogue.
// It may be used by several goroutines, and compiles nothing before it is asked.
type Compiler interface {
	// Compile returns the codec of a contract. What is wrong with a file of the
	// catalogue is a [*SourceError].
	Compile(r Reference) (Codec, error)
}

// A Reference names a contract as a catalogue's manifest does.
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

// A SourceError says what is wrong with a file of a catalogue.
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

// A Format is a language that contracts are written in.
type Format struct {
	Name      string   // in messages, and of its folder in tests and exports: "avro"
	Title     string   // for people: "Avro"
	Extension string   // of its files: ".avsc"
	Encodings []string // that a manifest may ask for, the default one first; nil if there is but one
	Evolution Evolution
	New       func(*Folder) Compiler
}

func (f *Format) String() string { return f.Name }

// An Evolution says what readers with one version of a contract make of what
// was written with another.
type Evolution struct {
	Numbered      bool // fields and enum values are what their numbers are, not their names
	AllFieldsSent bool // optional fields travel, too
	KeepsValues   bool // readers keep enum values that they don't know

	// Reads reports whether a reader of one kind surely understands every value
	// that was written as another, different kind.
	Reads func(reader, writer string) bool
}
