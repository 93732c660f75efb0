// Package ticketing holds the events of the ticketing services, the catalogue
// that the programs bring along: a folder for each format, which is a whole
// catalogue and is exported as it stands.
//
// The package's rule: it holds files and the names in them, and knows no format.
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
	if err != nil { // the name is no path
		return embed.FS{}
	}
	return files
}

// An Event is one entry of the manifest.
type Event struct{ Subject, Description, Contract, Example string }

// Events returns what the manifest says. It is read line by line, since parsing
// YAML would cost every start of the programs a millisecond; a test compares it
// with what a YAML parser reads.
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
