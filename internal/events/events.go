// Package events is the catalogue of events. It looks up the contract of a subject,
// checks data against it, and encodes and decodes wire data; it loads, compares and
// exports catalogues.
//
// The package's rule: it never connects to a broker, and its users only see JSON.
// Each format has a package of its own. The table of formats below is the only
// place that names them.
package events

import (
	"encoding/json"
	"slices"
	"strings"

	"nats-test/internal/events/avro"
	"nats-test/internal/events/contract"
	"nats-test/internal/events/jsonschema"
	"nats-test/internal/events/protobuf"
	"nats-test/internal/events/ticketing"
)

// A SourceError is a fault of a file of a catalogue.
type SourceError = contract.SourceError

// NotPlain names a common cause of invalid JSON at byte at of data. It returns ""
// for other causes.
func NotPlain(data []byte, at int) string { return contract.NotPlain(data, at) }

// PlainSyntax describes an error of JSON in plain words.
func PlainSyntax(err *json.SyntaxError) string { return contract.PlainSyntax(err) }

// formats is the only list of formats. Other code does not depend on their names.
var formats = []*contract.Format{jsonschema.Format, protobuf.Format, avro.Format}

// formatOf returns the format for a file name extension, nil if there is none.
func formatOf(extension string) *contract.Format {
	i := slices.IndexFunc(formats, func(f *contract.Format) bool { return f.Extension == extension })
	if i < 0 {
		return nil
	}
	return formats[i]
}

// extensions returns the extensions of all formats, for messages.
func extensions() string {
	all := make([]string, len(formats))
	for i, f := range formats {
		all[i] = f.Extension
	}
	return Either(all)
}

// withEncodings returns the formats with several encodings, for messages.
func withEncodings() string {
	var titles []string
	for _, f := range formats {
		if f.Encodings != nil {
			titles = append(titles, f.Title)
		}
	}
	return Either(titles)
}

// Either joins words as "a, b or c".
func Either(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// builtinFormat is the format in which the built-in catalogue is read. Most of its
// data is checked by a simple rule, and is sent as written by its author.
var builtinFormat = formats[0]

// Ticketing returns the built-in catalogue of the ticketing services.
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
