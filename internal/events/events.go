// Package events is the catalogue: it knows what the bytes of an event mean. It
// looks up the contract of a subject, checks data against it, and encodes and
// decodes what travels; it loads and compares catalogues, and writes them out.
//
// The package's rule: it never talks to a broker, and people never see anything
// but JSON. What a format does is up to the package of that format; the table
// of them is in formats.go, and nothing else asks which format a contract has.
package events

import "nats-test/internal/events/contract"

// A SourceError says what is wrong with a file of a catalogue.
type SourceError = contract.SourceError

// NotPlain names what often stands in the place of plain JSON, at the byte of
// data where it stopped to be JSON. It is "" for anything else.
func NotPlain(data []byte, at int) string { return contract.NotPlain(data, at) }
