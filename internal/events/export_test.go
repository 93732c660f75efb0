package events

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"nats-test/internal/events/contract"
	"nats-test/internal/events/ticketing"
)

var update = flag.Bool("update", false, "write the golden files of exports anew")

func mustExport(t *testing.T, as string) []ExportedFile {
	t.Helper()
	files, err := ExportTicketing(as)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// contentOf returns a file's content.
func contentOf(t *testing.T, files []ExportedFile, name string) []byte {
	t.Helper()
	i := slices.IndexFunc(files, func(f ExportedFile) bool { return f.Name == name })
	if i < 0 {
		t.Fatalf("there is no %s", name)
	}
	return files[i].Data
}

func TestExportKinds(t *testing.T) {
	if kinds := ExportKinds(); !slices.Equal(kinds, []string{"jsonschema", "proto", "avro", "typescript"}) {
		t.Error(kinds)
	}
	if _, err := ExportTicketing("thrift"); err == nil || err.Error() != `exporting as "thrift": must be one of jsonschema, proto, avro, typescript` {
		t.Error(err)
	}
}

func TestTypeScript(t *testing.T) {
	const golden = "testdata/export/typescript/events.ts"
	got := contentOf(t, mustExport(t, "typescript"), "events.ts")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("events.ts is\n%s\nwant (go test -run TestTypeScript -update if that is right)\n%s", got, want)
	}
}

type exportedEntry struct {
	Subject                        string
	Description, Contract, Example string
}

// entriesOf parses a manifest strictly, and keeps its order.
func entriesOf(t *testing.T, files []ExportedFile) []exportedEntry {
	t.Helper()
	text := contentOf(t, files, "events.yaml")
	var manifest struct {
		Events map[string]struct{ Description, Contract, Example string }
	}
	var ordered struct{ Events yaml.MapSlice }
	for _, into := range []any{&manifest, &ordered} {
		if err := yaml.UnmarshalWithOptions(text, into, yaml.Strict()); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
	}
	var entries []exportedEntry
	for _, item := range ordered.Events {
		subject := item.Key.(string)
		e := manifest.Events[subject]
		entries = append(entries, exportedEntry{subject, e.Description, e.Contract, e.Example})
	}
	return entries
}

// The built-in catalogue is the same in every format: the same events with the same
// fields, and its examples are the output of publish --sample.
func TestBuiltinCatalogueIsTheSameInEveryFormat(t *testing.T) {
	builtin := Ticketing()
	for _, f := range formats {
		files := mustExport(t, f.Name)
		if !slices.IsSortedFunc(files, func(a, b ExportedFile) int { return strings.Compare(a.Name, b.Name) }) {
			t.Errorf("%s: the files are not sorted", f.Name)
		}
		dir := filepath.Join(t.TempDir(), f.Name)
		if err := WriteFiles(dir, files); err != nil {
			t.Fatal(err)
		}
		if n, faults, err := Check(dir, func(string) error { return nil }); n != len(builtin.Contracts()) || len(faults) > 0 || err != nil {
			t.Errorf("%s: %d events, %v, %v", f.Name, n, faults, err)
		}
		c, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		entries := entriesOf(t, files)
		for i, k := range c.Contracts() {
			want := builtin.Contracts()[i]
			if e := exportedEntry(ticketing.Events(f.Name)[i]); e != entries[i] {
				t.Errorf("%s: an entry is read as %q, must be %q", f.Name, e, entries[i])
			}
			if k.Subject != want.Subject || k.Description != want.Description {
				t.Errorf("%s: entry %d is %q (%s)", f.Name, i, k.Subject, k.Description)
			}
			is, err := k.shape()
			if err != nil {
				t.Fatal(err)
			}
			must, err := want.shape()
			if err != nil {
				t.Fatal(err)
			}
			if got, want := fieldsOf(is), fieldsOf(must); got != want {
				t.Errorf("%s: %s has the fields %s, want %s", f.Name, k.Subject, got, want)
			}
		}
	}
}

// fieldsOf lists the names of a shape's fields, and those of its fields'.
func fieldsOf(s *contract.Shape) string {
	if s.Kind != contract.Object {
		return ""
	}
	var all []string
	for _, f := range s.Fields {
		all = append(all, f.Name+fieldsOf(f.Shape))
	}
	return "{" + strings.Join(all, " ") + "}"
}
