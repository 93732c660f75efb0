// Package events is the catalogue: it knows what the bytes of an event mean. It
// looks up the contract of a subject, checks data against it, and encodes and
// decodes what travels; it loads and compares catalogues, and writes them out.
//
// The package's rule: it never talks to a broker, and people never see anything
// but JSON. What a format does is up to the package of that format; the table
// of them is below, and nothing else asks which format a contract has.
package events

import (
	"slices"
	"strings"

	"nats-test/internal/events/avro"
	"nats-test/internal/events/contract"
	"nats-test/internal/events/jsonschema"
	"nats-test/internal/events/protobuf"
	"nats-test/internal/events/ticketing"
)

// A SourceError says what is wrong with a file of a catalogue.
type SourceError = contract.SourceError

// NotPlain names what often stands in the place of plain JSON, at the byte of
// data where it stopped to be JSON. It is "" for anything else.
func NotPlain(data []byte, at int) string { return contract.NotPlain(data, at) }

// formats is the one list of formats. Nothing else asks for a format's name.
var formats = []*contract.Format{jsonschema.Format, protobuf.Format, avro.Format}

// formatOf returns the format of files with an extension, nil if there is none.
func formatOf(extension string) *contract.Format {
	i := slices.IndexFunc(formats, func(f *contract.Format) bool { return f.Extension == extension })
	if i < 0 {
		return nil
	}
	return formats[i]
}

// extensions lists the extensions of all formats, for people.
func extensions() string {
	all := make([]string, len(formats))
	for i, f := range formats {
		all[i] = f.Extension
	}
	return orList(all)
}

// withEncodings lists the formats that have several encodings, for people.
func withEncodings() string {
	var titles []string
	for _, f := range formats {
		if f.Encodings != nil {
			titles = append(titles, f.Title)
		}
	}
	return orList(titles)
}

func orList(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// builtinFormat is the one in which the built-in catalogue is read. Most of its
// data needs no more than a rule, and what travels is the JSON of its authors.
var builtinFormat = formats[0]

// Ticketing returns the built-in catalogue, that of the ticketing services.
func Ticketing() *Catalogue {
	c := newCatalogue()
	files := contract.EmbeddedFolder(ticketing.Files(builtinFormat.Name))
	compiler := builtinFormat.New(files)
	for _, e := range ticketing.Events(builtinFormat.Name) {
		entry := &entry{subject: e.Subject, Description: e.Description, Contract: e.Contract, Example: example{text: e.Example}}
		c.contracts = append(c.contracts, entry.contract(files, compiler))
	}
	return c
}
