package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

var update = flag.Bool("update", false, "write the golden files of exports anew")

func mustExport(t *testing.T, as string) []ExportedFile {
	t.Helper()
	files, err := Ticketing().Export(as)
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

func TestExport(t *testing.T) {
	for _, as := range ExportKinds() {
		golden := filepath.Join("testdata", "export", as)
		if as == "jsonschema" {
			golden = "ticketing" // these are the contracts of the built-in catalogue
		}
		files := mustExport(t, as)
		if !slices.IsSortedFunc(files, func(a, b ExportedFile) int { return strings.Compare(a.Name, b.Name) }) {
			t.Errorf("%s: the files are not sorted", as)
		}
		if *update {
			if err := errors.Join(os.RemoveAll(golden), WriteFiles(golden, files)); err != nil {
				t.Fatal(err)
			}
		}
		var want []string
		err := fs.WalkDir(os.DirFS(golden), ".", func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				want = append(want, name)
			}
			return err
		})
		if err != nil || len(want) != len(files) {
			t.Fatalf("%s: %d files, want %q (%v)", as, len(files), want, err)
		}
		for _, name := range want {
			text, err := os.ReadFile(filepath.Join(golden, filepath.FromSlash(name)))
			if err != nil {
				t.Fatal(err)
			}
			if got := contentOf(t, files, name); !bytes.Equal(got, text) {
				t.Errorf("%s/%s is\n%s\nwant (go test -run TestExport -update if that is right)\n%s", as, name, got, text)
			}
		}
	}
	if _, err := Ticketing().Export("thrift"); err == nil || err.Error() != `exporting as "thrift": must be one of jsonschema, proto, avro, typescript` {
		t.Error(err)
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

func TestExportedManifest(t *testing.T) {
	for _, as := range []string{"jsonschema", "proto", "avro"} {
		files := mustExport(t, as)
		entries := entriesOf(t, files)
		contracts := Ticketing().Contracts()
		if len(entries) != len(contracts) {
			t.Fatalf("%s: %d entries", as, len(entries))
		}
		for i, e := range entries {
			if c := contracts[i]; e.Subject != c.Subject || e.Description != c.Description {
				t.Errorf("%s: entry %d is %q (%s)", as, i, e.Subject, e.Description)
			}
			file, name, named := strings.Cut(e.Contract, "#")
			text := contentOf(t, files, file)
			if named && !bytes.Contains(text, []byte("message "+name[strings.LastIndex(name, ".")+1:]+" {")) {
				t.Errorf("%s: there is no %s in %s", as, name, file)
			}
			if !json.Valid([]byte(e.Example)) {
				t.Errorf("%s: %s: the example is %s", as, e.Subject, e.Example)
			}
		}
	}
	for _, f := range mustExport(t, "typescript") {
		if filepath.Ext(f.Name) != ".ts" {
			t.Errorf("typescript has %s", f.Name)
		}
	}
}
