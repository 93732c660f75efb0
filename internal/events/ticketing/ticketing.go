// Package ticketing holds the built-in catalogue, the events of the ticketing
// services. It has one folder per format, each a complete catalogue that can be
// exported as it is.
//
// The package's rule: it only holds files and names, and knows no format.
package ticketing

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed jsonschema proto avro
var folders embed.FS

// Files returns the catalogue in a format, such as "jsonschema".
func Files(format string) fs.FS {
	files, err := fs.Sub(folders, format)
	if err != nil { // not a valid path
		return embed.FS{}
	}
	return files
}

// An Event is one entry of the manifest.
type Event struct{ Subject, Description, Contract, Example string }

// Events returns the entries of the manifest. It reads them line by line, since
// parsing YAML would cost a millisecond at every start of the programs; a test
// compares the result with a YAML parser's.
func Events(format string) []Event {
	text, err := fs.ReadFile(Files(format), "events.yaml")
	if err != nil {
		return nil
	}
	var all []Event
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		value = strings.Trim(value, "'")
		switch key {
		case "events:":
		case "description":
			all[len(all)-1].Description = value
		case "contract":
			all[len(all)-1].Contract = value
		case "example":
			all[len(all)-1].Example = value
		default:
			all = append(all, Event{Subject: strings.TrimSuffix(key, ":")})
		}
	}
	return all
}
