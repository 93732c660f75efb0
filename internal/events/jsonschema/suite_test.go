package jsonschema

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"nats-test/internal/events/contract"
)

const suiteFolder = "testdata/json-schema-test-suite"

// unlike lists required cases of the suite with another result here, and why. A
// case with the suite's result must be removed from the list.
func unlike() map[string]string {
	const asserted = "the suite takes a format for an annotation, we for a demand"
	list := map[string]string{}
	for _, format := range []string{"email", "regex", "ipv4", "ipv6", "hostname", "date", "date-time", "time",
		"json-pointer", "relative-json-pointer", "iri", "iri-reference", "uri", "uri-reference", "uri-template", "uuid", "duration"} {
		list["format.json/"+format+" format/invalid "+format+" string is only an annotation by default"] = asserted
	}
	return list
}

// The official suite runs like a catalogue: a schema is a file of a folder, and the
// suite's remote schemas are files beside it.
func TestJSONSchemaSuite(t *testing.T) {
	names, err := filepath.Glob(suiteFolder + "/tests/*.json")
	if err != nil || len(names) != 46 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	type group struct {
		Description string
		Schema      json.RawMessage
		Tests       []struct {
			Description string
			Data        json.RawMessage
			Valid       bool
		}
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "remotes"), os.DirFS(suiteFolder+"/remotes")); err != nil {
		t.Fatal(err)
	}
	known, ran := unlike(), 0
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var groups []group
		if err := json.Unmarshal(text, &groups); err != nil {
			t.Fatal(name, err)
		}
		for _, g := range groups {
			writeFile(t, dir, "schema.json", string(g.Schema))
			schemas := newSchemas(contract.NewFolder(dir))
			schemas.files.places["http://localhost:1234/"] = "remotes"
			c, err := schemas.Compile(contract.Reference{File: "schema.json"})
			if err != nil {
				t.Errorf("%s/%s: %v", filepath.Base(name), g.Description, err)
				continue
			}
			possible := false
			for _, test := range g.Tests {
				ran++
				possible = possible || test.Valid
				id := filepath.Base(name) + "/" + g.Description + "/" + test.Description
				_, strict := c.Encode(test.Data)
				_, lenient := c.Decode(test.Data)
				reason, listed := known[id]
				delete(known, id)
				if valid := strict == nil; valid != test.Valid != listed {
					t.Errorf("%s: %s is valid: %v, %v (listed: %q)", id, test.Data, valid, strict, reason)
				}
				if strict == nil && lenient != nil {
					t.Errorf("%s: encoded, but not decoded: %v", id, lenient)
				}
			}
			// A sample is made wherever the suite knows one.
			data, err := c.Sample()
			if err != nil && possible {
				t.Errorf("%s/%s: %v", filepath.Base(name), g.Description, err)
			}
			if _, faults := c.Encode(data); err == nil && faults != nil {
				t.Errorf("%s/%s: the sample %s: %v", filepath.Base(name), g.Description, data, faults)
			}
			if c.Shape() == nil || c.Source() == "" {
				t.Errorf("%s/%s: no shape or source", filepath.Base(name), g.Description)
			}
		}
	}
	for id := range known {
		t.Errorf("%s: is listed, but there is no such case", id)
	}
	if ran != 1238 {
		t.Errorf("%d cases", ran)
	}
}

func writeFile(t testing.TB, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
