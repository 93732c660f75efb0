package events

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"nats-test/internal/events/contract"
)

func TestManifest(t *testing.T) {
	tests := []struct{ manifest, want string }{
		{"events:\n  ticket:created:\n    description: 'a ticket: new'\n    contract: a.json\n  'order:created':\n    contract: sub/b.proto#x.y.Z\n",
			"ticket:created a.json jsonschema (a ticket: new) ; order:created sub/b.proto#x.y.Z proto ()"},
		{"{events: {a: {contract: x.avsc#T, encoding: binary}}}", "a x.avsc#T avro () binary"},
		{"events:\n  a:\n    contract: ./x.json\n    example: e/x.json\n", "a x.json jsonschema () @e/x.json"},
		{"events:\n  a:\n    contract: x.json\n    example: '{\"n\":1.50}'\n", `a x.json jsonschema () {"n":1.50}`},
		{"events:\n  a:\n    contract: x.json\n    example: |\n      {\"n\":\n        1}\n", "a x.json jsonschema () {\"n\":\n  1}\n"},
		{"events:\n  a:\n    contract: x.json\n    example: {id: \"1\", big: 9007199254740993, list: [true, null]}\n",
			`a x.json jsonschema () {"id": "1", "big": 9007199254740993, "list": [true, null]}`},

		{"events:\n  a:\n    contract: x.json\n    example: {hex: 0x10, date: 2030-01-02, on: yes, no: .5, nothing: ~, 1: 1_000, text: !!str 7}\n",
			`a x.json jsonschema () {"hex": 16, "date": "2030-01-02", "on": "yes", "no": 0.5, "nothing": null, "1": 1000, "text": "7"}`},
		{"events:\n  a: {contract: x.json, example: 1.50}\n", "a x.json jsonschema () 1.50"},
		{"events:\n  a: {contract: x.json, example: [.inf]}\n", `events.yaml:2: "a": the example has a number that JSON does not allow: ".inf"`},
		{"events:\n  a: {contract: x.json, example: {a: 1, a: 2}}\n", `events.yaml:2: "a": the example has the key "a" twice`},
		{"events:\n  a: {contract: x.json, example: {? [a] : 1}}\n", `events.yaml:2: "a": the example has a key that is not plain text`},

		{"", "events.yaml: names no events"},
		{"events:\n", "events.yaml: names no events"},
		{"- a\n", "events.yaml:1: the manifest must be a mapping"},
		{"events: 7\n", "events.yaml:1: events must be a mapping"},
		{"evnts:\n  a: {contract: a.json}\n", `events.yaml:1: unknown key "evnts", must be "events"`},
		{"events:\n  a:\n    contract: a.json\n    exmple: 1\n", `events.yaml:4: unknown field "exmple"`},
		{"events:\n  a:\n    contract: a.json\n  a:\n    contract: b.json\n", `a a.json jsonschema () ; events.yaml:4: "a" appears twice, first in line 2`},
		{"events:\n  a:\n    contract: [1]\n", `events.yaml:3: "contract" must be text`},
		{"events:\n  a:\n    description: x\n", `events.yaml:2: "a": "contract" is missing, such as order-created.schema.json`},
		{"events:\n  a:\n  b: {contract: b.json}\n", "b b.json jsonschema () ; events.yaml:2: \"a\" must be a mapping, with the event's \"contract\""},
		{"events:\n  a: {contract: ../a.json}\n  b: {contract: /a.json}\n  c: {contract: a.yaml}\n  d: {contract: a.json, encoding: binary}\n  e: {contract: a.json, example: ../e.json}\n",
			`events.yaml:2: "a": the contract "../a.json" is not in the catalogue's folder ; ` +
				`events.yaml:3: "b": the contract "/a.json" is not in the catalogue's folder ; ` +
				`events.yaml:4: "c": the contract "a.yaml" has an unknown format: must be a file .json, .proto or .avsc ; ` +
				`events.yaml:5: "d": "encoding" is for contracts in Avro ; ` +
				`events.yaml:6: "e": the example "../e.json" is not in the catalogue's folder`},
		{"events:\n  a: &x {contract: a.json}\n  b: *x\n", "events.yaml:2: a manifest can't have anchors and aliases"},
		{"events:\n  <<: {a: {contract: a.json}}\n", "events.yaml:2: events: a key must be plain text"},
		{"events:\n  a: {contract: a.json}\n---\nevents: {}\n", "events.yaml:4: holds a second document"},
		{"events: [\n", "events.yaml:1: is no YAML: did not find expected node content"},
	}
	for _, test := range tests {
		entries, faults := parseManifest("events.yaml", []byte(test.manifest))
		var got []string
		for _, e := range entries {
			text := fmt.Sprintf("%s %s %s (%s) %s%s", e.subject, e.reference(), e.format(), e.Description, e.Encoding, e.Example.text)
			if e.Example.file != "" {
				text += "@" + e.Example.file
			}
			got = append(got, strings.TrimSuffix(text, " "))
		}
		for _, f := range faults {
			got = append(got, f.Error())
		}
		if strings.Join(got, " ; ") != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.manifest, strings.Join(got, " ; "), test.want)
		}
	}
}

func FuzzManifest(f *testing.F) {
	for _, s := range []string{
		"", "events:\n  a:b:\n    contract: a.json\n", "events: {a: {contract: x.avsc#T, encoding: binary, example: {a: [1]}}}",
		"a: &a [*a]", "? x\n: y\n", "- |\n  a\n", "events:\n  a: !!binary x\n", "%YAML 1.2\n---\n", "...", "events:\n  \"\\u0000\": {contract: a.proto}\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, faults := parseManifest("events.yaml", text)
		if len(entries) == 0 && len(faults) == 0 {
			t.Fatal("neither entries nor faults")
		}
		for _, e := range entries {
			if e.subject == "" || e.format() == nil || strings.Contains(e.reference().File, "..") && !filepath.IsLocal(e.reference().File) {
				t.Fatalf("%+v", e)
			}
		}
	})
}

// catalogueFolder makes a folder of the files in a txtar archive.
func catalogueFolder(t testing.TB, archive string) string {
	t.Helper()
	dir := t.TempDir()
	if err := txtar.Write(txtar.Parse([]byte(archive)), dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

const goodManifest = `
-- events.yaml --
events:
  a:made: {contract: a.json, example: '{"id":"1"}'}
-- a.json --
{"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}, "additionalProperties": false}
`

func TestLoad(t *testing.T) {
	dir := catalogueFolder(t, goodManifest)
	named := filepath.Join(dir, "mine.yml")
	if err := os.Rename(filepath.Join(dir, "events.yaml"), named); err != nil {
		t.Fatal(err)
	}
	c, err := Load(named)
	if err != nil || !slices.Equal(c.Subjects(), []string{"a:made"}) {
		t.Fatal(c, err)
	}
	if err := contractOf(t, c, "a:made").checkExample(); err != nil {
		t.Error(err)
	}
	for path, want := range map[string]string{
		dir:                          "events.yaml: there is no such file in the catalogue's folder",
		filepath.Join(dir, "nobody"): "there is no such folder",
		filepath.Join(dir, "a.json"): `a.json:1: unknown key "type", must be "events"`,
	} {
		_, err := Load(path)
		if err == nil || !strings.HasPrefix(err.Error(), "the catalogue "+path+": "+want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// Nothing outside of the folder is read, and special files don't block.
func TestFolderIsClosed(t *testing.T) {
	outside := catalogueFolder(t, "-- secret.json --\n{}\n")
	dir := catalogueFolder(t, goodManifest)
	for name, target := range map[string]string{"link.json": filepath.Join(outside, "secret.json"), "up.json": "../../secret.json", "dir": outside} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a.json", filepath.Join(dir, "inside.json")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.json"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "large.json"), make([]byte, contract.MaxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	files := contract.NewFolder(dir)
	for name, want := range map[string]string{
		"link.json": "path escapes", "up.json": "path escapes", "dir/secret.json": "path escapes", "../secret.json": "without",
		"/etc/passwd": "without", "folder.json": "is no file", "large.json": "more than 4 MiB", "b.json": "no such file",
	} {
		if _, err := files.Read(name); err == nil || !strings.HasPrefix(err.Error(), name+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	if text, err := files.Read("inside.json"); err != nil || !strings.Contains(string(text), "required") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestCheckListsEveryFault(t *testing.T) {
	dir := catalogueFolder(t, `
-- events.yaml --
events:
  good: {contract: a.json, example: '{"id":"1"}'}
  Good: {contract: a.json}
  bad example: {contract: a.json, example: '{"id":1,"x":2}'}
  no:file: {contract: b.json}
  no:example: {contract: a.json, example: e.json}
  no:format: {contract: a.txt}
-- a.json --
{"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}, "additionalProperties": false}
`)
	n, faults, err := Check(dir, func(subject string) error {
		if strings.Contains(subject, " ") {
			return fmt.Errorf("is illegal")
		}
		return nil
	})
	var got []string
	for _, f := range faults {
		got = append(got, f.Error())
	}
	want := []string{
		`events.yaml:7: "no:format": the contract "a.txt" has an unknown format: must be a file .json, .proto or .avsc`,
		"Good: differs from good only in case",
		"bad example: is illegal",
		`bad example: its example: the data is not a valid "bad example" event: /id: is number, must be string; /x: unknown field`,
		"no:file: b.json: there is no such file in the catalogue's folder",
		"no:example: its example: e.json: there is no such file in the catalogue's folder",
	}
	if err != nil || n != 5 || !slices.Equal(got, want) {
		t.Errorf("%d events\n got %s\nwant %s", n, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}
