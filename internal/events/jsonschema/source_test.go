package jsonschema

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nats-test/internal/events/contract"
)

func TestJSONSchemaSourceErrors(t *testing.T) {
	tests := []struct {
		want  string
		files []string
	}{
		{"a.json:4: not JSON: expected a value, found 'x' (line 4, byte 8)", []string{"a.json", "{\n\n\"type\":\n       x}"}},
		{"a.json: not JSON: it is empty", []string{"a.json", ""}},
		{"a.json: not JSON: the bytes are not UTF-8", []string{"a.json", "{\"\xff\":1}"}},
		{"a.json:1: is not a JSON Schema: is array, must be boolean or object", []string{"a.json", "[]"}},
		{`a.json:3: is not a JSON Schema: /properties/id/type: is "strnig", must be one of "array", "boolean", "integer", "null", "number", "object", "string"`,
			[]string{"a.json", "{\"properties\":\n{\"id\":{\n\"type\":\"strnig\"}}}"}},
		{"a.json:2: is not a JSON Schema: /minLength: is -1, must be at least 0", []string{"a.json", "{\n\"minLength\": -1}"}},
		{"a.json:2: is not a JSON Schema: /required: is string, must be array", []string{"a.json", "{\n\"required\": \"id\"}"}},
		{"a.json:1: is not a JSON Schema: /multipleOf: is 0, must be more than 0", []string{"a.json", `{"multipleOf": 0}`}},
		{"a.json: holds a number that is too large or too long: 1e9999999", []string{"a.json", `{"minLength": 1e9999999}`}},
		{"a.json: has more than 1000 parts with an $id", []string{"a.json", `{"allOf":[{"$id":"x"}` + strings.Repeat(`,{"$id":"x"}`, 1000) + "]}"}},
		{"a.json: is nested more than 500 deep", []string{"a.json", strings.Repeat(`{"not":`, 600) + "true" + strings.Repeat("}", 600)}},
		{`a.json:2: is not a JSON Schema: /pattern: "(?=a)" is not a regular expression in RE2 syntax: invalid or unsupported Perl syntax`, []string{"a.json", "{\n\"pattern\": \"(?=a)\"}"}},
		{`a.json:1: is not a JSON Schema: /patternProperties/(: as the name of a field: "(" is not a regular expression in RE2 syntax: missing closing )`, []string{"a.json", `{"patternProperties": {"(":true}}`}},
		{`a.json:1: is not a JSON Schema: /pattern: "((a{100}){100}){100}" is not a regular expression in RE2 syntax: invalid repeat count`, []string{"a.json", `{"pattern": "((a{100}){100}){100}"}`}},
		{`a.json:2: "$ref" is "https://example.com/b.json": no file in the catalogue's folder has this $id, and nothing is downloaded`,
			[]string{"a.json", "{\"items\":{\n\"$ref\":\"https://example.com/b.json\"}}"}},
		{`a.json:1: "$ref" is "file:///etc/passwd": no file in the catalogue's folder has this $id, and nothing is downloaded`, []string{"a.json", `{"$ref":"file:///etc/passwd"}`}},
		{`a.json:1: "$schema" is "https://example.com/meta": no file in the catalogue's folder has this $id, and nothing is downloaded`, []string{"a.json", `{"$schema":"https://example.com/meta"}`}},
		{`x/a.json:2: "$ref" is "../b.json#/x": there is no such file in the catalogue's folder`, []string{"x/a.json", "{\n\"$ref\":\"../b.json#/x\"}"}},
		{`a.json:1: "$ref" is "../a.json": that is outside of the catalogue's folder`, []string{"a.json", `{"$ref":"../a.json"}`}},
		{`a.json:1: "$ref" is "/a.json": that is outside of the catalogue's folder`, []string{"a.json", `{"$ref":"/a.json"}`}},
		{`a.json:1: "$ref" is "%2e%2e/b.json": must be the name of a file in the catalogue's folder, without ".." and with slashes`, []string{"a.json", `{"$ref":"%2e%2e/b.json"}`}},
		{`b.json:2: not JSON: expected a name in double quotes, found '}' (line 2, byte 2)`, []string{"a.json", `{"$ref":"b.json"}`, "b.json", "{\"a\":1,\n }"}},
		{`b.json:1: "$ref" is "c.json": there is no such file in the catalogue's folder`, []string{"a.json", `{"$ref":"b.json"}`, "b.json", `{"$ref":"c.json"}`}},
		{`a.json:1: "$ref" is "#/$defs/x y": there is no such part`, []string{"a.json", `{"$ref":"#/$defs/x y"}`}},
		{`a.json:1: "$ref" is "#x": there is no such anchor`, []string{"a.json", `{"$ref":"#x"}`}},
		{`a.json: "#/$defs/x": there is no such part`, []string{"a.json#/$defs/x", "a.json", `{}`}},
		{`a.json: "#x": there is no such anchor`, []string{"a.json#x", "a.json", `{}`}},
		{`b.json: there is no such file in the catalogue's folder`, []string{"b.json", "a.json", `{}`}},
		{`../b.json: must be the name of a file in the catalogue's folder, without ".." and with slashes`, []string{"../b.json", "a.json", `{}`}},
		{`a.json:3: two parts have the anchor "x": "/$defs/a" and "/$defs/b"`, []string{"a.json", "{\"$defs\":{\n\"a\":{\"$anchor\":\"x\"},\n\"b\":{\"$anchor\":\"x\"}}}"}},
		{`a.json:1: two parts have the $id "https://x.com/y": "/$defs/a" and "/$defs/b"`, []string{"a.json", `{"$defs":{"a":{"$id":"https://x.com/y"},"b":{"$id":"https://x.com/y"}}}`}},
		{`a.json:1: "$ref" is "https://x.com/y": several files have this $id: b.json, c.json`, []string{"a.json", `{"$ref":"https://x.com/y"}`,
			"b.json", `{"$id":"https://x.com/y"}`, "c.json", `{"$id":"https://x.com/y"}`}},
		{`a.json:1: refers to itself without end`, []string{"a.json", `{"$ref":"#"}`}},
		{`a.json:2: refers to itself without end`, []string{"a.json", "{\"properties\":{\"x\":{\"$ref\":\"#/$defs/a\"}},\"$defs\":{\n\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"allOf\":[{\"$ref\":\"#/$defs/a\"}]}}}"}},
		{`b.json:1: refers to itself without end`, []string{"b.json", "a.json", `{"$ref":"b.json"}`, "b.json", `{"anyOf":[true,{"$ref":"a.json"}]}`}},
	}
	for _, test := range tests {
		files := test.files
		if len(files)%2 == 0 {
			files = append([]string{files[0]}, files...)
		}
		_, err := tryJSON(t, files[0], files[1:]...)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s:\n got %v\nwant %s", files[2], err, test.want)
		}
		if _, ok := err.(*contract.SourceError); !ok { //nolint:errorlint // it must be one itself
			t.Errorf("%s: %T", files[2], err)
		}
	}
}

func TestJSONSchemaStaysInTheFolder(t *testing.T) {
	outside := t.TempDir()
	writeFile(t, outside, "secret.json", `{}`)
	dir := t.TempDir()
	writeFile(t, dir, "a.json", `{"$ref":"link.json"}`)
	if err := os.Symlink(filepath.Join(outside, "secret.json"), filepath.Join(dir, "link.json")); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"a.json", "link.json"} {
		if _, err := newSchemas(contract.NewFolder(dir)).Compile(contract.Reference{File: file}); err == nil || !strings.Contains(err.Error(), "path escapes") {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestJSONSchemaSource(t *testing.T) {
	files := []string{"a.json", "{\n    \"$defs\": {\"A\": {\"type\": \"string\",\n\"minLength\":1}}\n}\n\n"}
	for contract, want := range map[string]string{
		"a.json":          "{\n    \"$defs\": {\"A\": {\"type\": \"string\",\n\"minLength\":1}}\n}\n",
		"a.json#/$defs/A": "{\n  \"type\": \"string\",\n  \"minLength\": 1\n}\n",
	} {
		c, err := tryJSON(t, contract, files...)
		if err != nil || c.Source() != want {
			t.Errorf("%s: %v, %q", contract, err, c.Source())
		}
	}
}
