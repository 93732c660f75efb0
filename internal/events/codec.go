package events

import "fmt"

// A codec is the contract of one subject in one format: it turns the JSON that
// people write and read into what travels, and back. It may be used by several
// goroutines, and keeps nothing of the bytes it is given.
//
// What decode returns, encode takes, and makes bytes of it that decode to the
// same; of what encode made, the same bytes.
type codec interface {
	// encode checks an author's data, which should be one JSON value, and
	// returns its wire form, or everything that is wrong with the data. It
	// refuses fields that the contract does not name.
	encode(data []byte) (wire []byte, faults []Fault)

	// decode returns what came over the wire as JSON on one line, or what is
	// wrong with it. It accepts what a newer publisher may have added.
	decode(wire []byte) (data []byte, faults []Fault)

	// sample returns data that keeps the contract, made from the contract alone.
	sample() ([]byte, error)

	// shape returns what the two sides rely on. It must not be changed.
	shape() *shape

	// source returns the contract in the format's own language, with a line end.
	source() string
}

// A compiler makes the codecs of one format from the files of one catalogue.
// It may be used by several goroutines, and compiles nothing before it is asked.
type compiler interface {
	// compile returns the codec of a contract. What is wrong with a file of the
	// catalogue is a [*SourceError].
	compile(r reference) (codec, error)
}

// A reference names a contract as a catalogue's manifest does.
type reference struct {
	file     string // relative to the catalogue's folder, with slashes
	name     string // in the file, what follows a "#": "" where the manifest names nothing
	encoding string // "", or what the manifest says of a format with several
}

func (r reference) String() string {
	if r.name == "" {
		return r.file
	}
	return r.file + "#" + r.name
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
	New       func(*folder) compiler
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
