package protobuf

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"nats-test/internal/events/contract"
)

// protobufOf returns a codec of the files in testdata.
func protobufOf(t testing.TB, file, name string) contract.Codec {
	t.Helper()
	c, err := newCompiler(contract.NewFolder("testdata")).Compile(contract.Reference{File: file, Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// protobufFrom returns a codec of files that are written as the test runs.
func protobufFrom(t testing.TB, r contract.Reference, files map[string]string) (contract.Codec, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return newCompiler(contract.NewFolder(dir)).Compile(r)
}

func faultsText(faults []contract.Fault) string {
	lines := make([]string, len(faults))
	for i, f := range faults {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

func TestProtobufWire(t *testing.T) {
	for _, c := range []struct{ file, name, data, wire string }{
		{"all.proto", "test.All", `{"int32":150}`, "089601"},
		{"all.proto", "test.All", `{"string":"testing"}`, "720774657374696e67"},
		{"all.proto", "test.All", `{"int32s":[3,270,86942]}`, "fa0106038e029ea705"},
		{"all.proto", "test.All", `{"sint32":-1,"fixed32":1,"double":-0.0}`, "28013d0100000061000000000000" + "0080"},
		{"all.proto", "test.All", `{"maybeInt32":0}`, "a80100"},
		{"all.proto", "test.All", `{"int32":0,"string":"","int32s":[]}`, ""},
		{"all.proto", "test.All", `{"byString":{"b":"2","a":"1"}}`, "ca02060a016112" + "0131" + "ca02060a016212" + "0132"},
		{"all.proto", "test.All", `{"timestamp":"1970-01-01T00:00:01.000000002Z"}`, "8a05" + "0408011002"},
		{"old.proto", "test.Old", `{"id":"a","detail":{"text":"b"}}`, "0a01612" + "30a01622" + "4"},
		{"old.proto", "test.Old", `{"id":"a","[test.note]":"b"}`, "a2060162" + "0a0161"},
		{"edition.proto", "", `{"needed":1,"explicit":0,"expanded":[1,2],"delimited":{"needed":2}}`, "1000180123180224" + "28012802"},
	} {
		k := protobufOf(t, c.file, c.name)
		wire, faults := k.Encode([]byte(c.data))
		if got := hex.EncodeToString(wire); got != c.wire || faults != nil {
			t.Errorf("%s\n got %s %v\nwant %s", c.data, got, faults, c.wire)
		}
		data, faults := k.Decode(wire)
		again, more := k.Encode(data)
		if string(again) != string(wire) || faults != nil || more != nil {
			t.Errorf("%s: decoded %s %v, encoded %x %v", c.data, data, faults, again, more)
		}
	}
}

func TestProtobufDecode(t *testing.T) {
	ticket := protobufOf(t, "acme/ticket.proto", "")
	want := `{"id":"1","title":"","userId":"","version":"0","tags":[],"status":"STATUS_UNSPECIFIED"}`
	newer := protowire.AppendVarint(protowire.AppendTag([]byte("\x0a\x011"), 99, protowire.VarintType), 5)
	if got, faults := ticket.Decode(newer); string(got) != want || faults != nil {
		t.Errorf("%s %v", got, faults)
	}
	if got, _ := ticket.Decode([]byte("\x40\x09")); !strings.Contains(string(got), `"status":9`) {
		t.Errorf("an unknown enum value: %s", got)
	}
	for name, c := range map[string]struct{ file, name, wire, want string }{
		"truncated":     {"acme/ticket.proto", "", "\x0a\x05ab", "is no acme.v1.Ticket: cannot parse invalid wire-format data"},
		"UTF-8":         {"acme/ticket.proto", "", "\x0a\x01\xff", "is no acme.v1.Ticket: field acme.v1.Ticket.id contains invalid UTF-8"},
		"proto2 UTF-8":  {"old.proto", "test.Old", "\x0a\x01\xff", "is no test.Old: field test.Old.id contains invalid UTF-8"},
		"required":      {"old.proto", "test.Old", "\x10\x01", "is no test.Old: required field test.Old.id not set"},
		"required deep": {"edition.proto", "", "\x18\x01\x23\x24", "is no test.Modern: required field test.Modern.needed not set"},
		"Any":           {"all.proto", "test.All", "\xba\x05\x04\x0a\x02/x", `is no test.All: google.protobuf.Any: unable to resolve "/x": not found`},
		"Any in bytes":  {"all.proto", "test.All", "\xba\x05\x0f\x0a\x09/test.All\x12\x02\x08\xff", `is no test.All: google.protobuf.Any: unable to unmarshal "/test.All": cannot parse invalid wire-format data`},
		"two keys":      {"all.proto", "test.All", "\xea\x02\x07\x08\x01\x0d\x00\x00\x00\x00", "is no test.All: the wire format is invalid: type mismatch: cannot convert nil to map key"},
		"in an Any":     {"all.proto", "test.All", "\xba\x05\x17\x0a\x09/test.All\x12\x0a\xea\x02\x07\x08\x01\x0d\x00\x00\x00\x00", "is no test.All: the wire format is invalid: type mismatch: cannot convert nil to map key"},
		"field 0":       {"acme/ticket.proto", "", "\x00\x00", "is no acme.v1.Ticket: cannot parse invalid wire-format data"},
		"empty Value":   {"all.proto", "test.All", "\xaa\x05\x00", "is no test.All: google.protobuf.Value: none of the oneof fields is set"},
	} {
		data, faults := protobufOf(t, c.file, c.name).Decode([]byte(c.wire))
		if got := faultsText(faults); got != c.want || data != nil {
			t.Errorf("%s: %s %s\nwant %s", name, got, data, c.want)
		}
	}
}

func TestProtobufFaults(t *testing.T) {
	for _, c := range []struct{ file, name, data, want string }{
		{"all.proto", "test.All", ``, "not JSON: it is empty"},
		{"all.proto", "test.All", `{"int32":1,}`, "not JSON: expected a name in double quotes, found '}' (at byte 12)"},
		{"all.proto", "test.All", `[]`, "is array, must be object"},
		{"all.proto", "test.All", `{"x":1,"nested":{"b":{}},"int32":"y"}`, "/int32: is string, must be int32\n/nested/b: unknown field\n/x: unknown field"},
		{"all.proto", "test.All", `{"int32":2147483648,"uint32":-1,"int64":"9223372036854775808","sint32":1.5,"fixed32":true}`,
			"/fixed32: is boolean, must be fixed32\n/int32: 2147483648 is out of the range of int32\n/int64: 9223372036854775808 is out of the range of int64\n/sint32: is 1.5, must be sint32\n/uint32: -1 is out of the range of uint32"},
		{"all.proto", "test.All", `{"float":1e39,"double":"1e999","bool":"true","string":1,"bytes":"!"}`,
			"/bool: is string, must be bool\n/bytes: \"!\" is not base64\n/double: 1e999 is out of the range of double\n/float: 1e39 is out of the range of float\n/string: is number, must be string"},
		{"acme/ticket.proto", "", `{"status":"PAID","created_at":"x","tags":["a",1,null],"price":{"units":{}}}`,
			"/created_at: \"x\" is not a timestamp, such as 2030-01-02T03:04:05Z\n/price/units: is object, must be int64\n/status: is \"PAID\", must be one of \"STATUS_UNSPECIFIED\", \"STATUS_FREE\", \"STATUS_SOLD\"\n/tags/1: is number, must be string\n/tags/2: is null, must be string"},
		{"acme/ticket.proto", "", `{"userId":"1","user_id":"2","createdAt":1,"tags":"a"}`,
			"/createdAt: is number, must be string\n/tags: is string, must be array\n/user_id: is the same field as \"userId\""},
		{"acme/ticket.proto", "", `{"userId":"1","userId":"2"}`, `duplicate field "userId"`},
		{"all.proto", "test.All", `{"choiceText":"a","choiceNumber":1,"choiceNested":null}`, "/choiceText: only one of \"choice\" may be set, and \"choiceNumber\" is"},
		{"all.proto", "test.All", `{"byInt32":{"a":1,"2":"b"},"byBool":{"yes":true},"byUint64":{"-1":{"a":"x"},"1":null},"byString":[]}`,
			"/byBool/yes: the key \"yes\" is not a valid bool\n/byInt32/2: is string, must be int32\n/byInt32/a: the key \"a\" is not a valid int32\n/byString: is array, must be object\n/byUint64/-1: the key \"-1\" is not a valid uint64\n/byUint64/-1/a: is string, must be int32\n/byUint64/1: is null, must be object"},
		{"all.proto", "test.All", `{"duration":"1","fieldMask":"a_b","struct":[],"listValue":{},"boolValue":1,"uint32Value":-1,"bytesValue":2,"empty":{"a":1}}`,
			"/boolValue: is number, must be bool\n/bytesValue: is number, must be bytes\n/duration: \"1\" is not a duration, such as 1.5s\n/empty/a: unknown field\n/fieldMask: \"a_b\" is not a field mask, such as name,unitPrice\n/listValue: is object, must be array\n/struct: is array, must be object\n/uint32Value: -1 is out of the range of uint32"},
		{"all.proto", "test.All", `{"any":{"a":1},"anys":[{"@type":1},{"@type":"x/No"},{"@type":"x/test.All","int32":"a","b":1},{"@type":"x/google.protobuf.Duration","value":"a","c":1},{"@type":"x/google.protobuf.Duration"}]}`,
			"/any/@type: missing\n/anys/0/@type: is number, must be string\n/anys/1/@type: the catalogue has no message \"x/No\"\n/anys/2/b: unknown field\n/anys/2/int32: is string, must be int32\n/anys/3/c: unknown field\n/anys/3/value: \"a\" is not a duration, such as 1.5s\n/anys/4/value: missing"},
		{"all.proto", "test.All", `{"nesteds":[{"a":1},{"a":[]}],"colours":["RED",7,1.5]}`,
			"/colours/2: is 1.5, must be one of \"NONE\", \"RED\", \"CRIMSON\", \"BLUE\"\n/nesteds/1/a: is array, must be int32"},
		{"old.proto", "test.Old", `{"line":[{}],"inner":{"count":1},"[test.note]":1,"[test.no]":1,"[test.Holder.holder]":{"n":"x"}}`,
			"/[test.Holder.holder]/n: is string, must be int32\n/[test.no]: unknown field\n/[test.note]: is number, must be string\n/id: missing\n/inner/id: missing\n/line/0/number: missing"},
		{"edition.proto", "", `{"explicit":"x"}`, "/explicit: is string, must be int32\n/needed: missing"},
		{"all.proto", "test.All", `{"a/b~":1}`, "/a~1b~0: unknown field"},
		{"all.proto", "test.All", `{"string":"\ud800"}`, "holds half of a surrogate pair"},
	} {
		wire, faults := protobufOf(t, c.file, c.name).Encode([]byte(c.data))
		if got := faultsText(faults); got != c.want || wire != nil {
			t.Errorf("%s\n got %s\nwant %s", c.data, got, c.want)
		}
	}
	many := `{"x` + strings.Join(strings.Split(strings.Repeat("y", 300), ""), `":1,"x`) + `":1`
	for i := range 300 {
		many += `,"z` + strings.Repeat("z", i) + `":1`
	}
	_, faults := protobufOf(t, "all.proto", "test.All").Encode([]byte(many + "}"))
	if len(faults) != contract.MaxFaults+1 {
		t.Errorf("%d faults", len(faults))
	}
}

func TestProtobufSample(t *testing.T) {
	for _, c := range []struct{ file, name, want string }{
		{"acme/ticket.proto", "", `{"id":"id","title":"title","price":{"currency":"currency","units":"1","nanos":1},"userId":"userId","version":"1","createdAt":"2030-01-02T03:04:05Z","tags":["tags"],"status":"STATUS_FREE"}`},
		{"old.proto", "test.Old", `{"id":"id","count":1,"size":"SMALL","detail":{"text":"text"},"line":[{"number":1}]}`},
		{"edition.proto", "", `{"implicit":"implicit","explicit":1,"needed":1,"expanded":[1],"state":"OPEN","loose":"loose"}`},
		{"all.proto", "test.All", `{"int32":1,"int64":"1","uint32":1,`},
	} {
		got, err := protobufOf(t, c.file, c.name).Sample()
		if !strings.HasPrefix(string(got), c.want) || err != nil {
			t.Errorf("%s %v\nwant %s", got, err, c.want)
		}
	}
	wide := "syntax = \"proto3\";\n" // 2^30 messages, were all fields filled
	for i := range 31 {
		wide += "message M" + string(rune('A'+i)) + " {"
		if i < 30 {
			wide += " M" + string(rune('A'+i+1)) + " a = 1; M" + string(rune('A'+i+1)) + " b = 2;"
		}
		wide += " }\n"
	}
	wide = strings.NewReplacer("[", "_a", "\\", "_b", "]", "_c", "^", "_d", "`", "_e").Replace(wide)
	k, err := protobufFrom(t, contract.Reference{File: "w.proto", Name: "MA"}, map[string]string{"w.proto": wide})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Sample(); err != nil {
		t.Error(err)
	}
	k, err = protobufFrom(t, contract.Reference{File: "r.proto"}, map[string]string{"r.proto": "syntax = \"proto2\"; message R { required R r = 1; }"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Sample(); err == nil {
		t.Error("a message that can't exist has a sample")
	}
}

func TestProtobufShape(t *testing.T) {
	s := protobufOf(t, "all.proto", "test.All").Shape()
	byName := map[string]contract.Field{}
	for _, f := range s.Fields {
		byName[f.Name] = f
	}
	for name, want := range map[string]string{"int64": "int64", "timestamp": "google.protobuf.Timestamp", "any": "google.protobuf.Any",
		"byUint64": contract.Map, "int32s": contract.Array, "colour": contract.Enum, "nested": contract.Object, "empty": contract.Object} {
		if got := byName[name].Shape.Kind; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if f := byName["choiceText"]; f.Oneof != "choice" || f.Number != 52 || f.Required {
		t.Errorf("%+v", f)
	}
	if byName["maybeInt32"].Oneof != "" {
		t.Error("optional is no oneof")
	}
	if got := byName["nested"].Shape.Fields[1].Shape; got != s || !s.Open {
		t.Error("a recursive message's shape must be cyclic")
	}
	if got := byName["colour"].Shape.Values[3]; got != (contract.EnumValue{Name: "BLUE", Number: -2}) {
		t.Error(got)
	}
	if m := byName["byUint64"].Shape; m.Items != byName["nested"].Shape || m.Fields[0].Shape.Kind != "uint64" {
		t.Errorf("%+v", m)
	}
	old := protobufOf(t, "old.proto", "test.Old").Shape()
	if !old.Fields[0].Required || old.Fields[1].Required {
		t.Error("required")
	}
}

func TestProtobufSource(t *testing.T) {
	text, err := os.ReadFile("testdata/acme/ticket.proto")
	if err != nil {
		t.Fatal(err)
	}
	if got := protobufOf(t, "acme/ticket.proto", "acme.v1.Ticket").Source(); got != string(text) {
		t.Error(got)
	}
}

func TestProtobufCompileErrors(t *testing.T) {
	const head = "syntax = \"proto3\";\n"
	for name, c := range map[string]struct {
		r     contract.Reference
		files map[string]string
		want  string
	}{
		"no file":        {contract.Reference{File: "a.proto"}, nil, "a.proto: there is no such file in the catalogue's folder"},
		"outside":        {contract.Reference{File: "../a.proto"}, nil, `../a.proto: must be the name of a file in the catalogue's folder, without ".." and with slashes`},
		"syntax":         {contract.Reference{File: "a.proto"}, map[string]string{"a.proto": head + "message A {\n  string id = ;\n}\n"}, "a.proto:3: syntax error: unexpected ';'"},
		"type":           {contract.Reference{File: "a.proto"}, map[string]string{"a.proto": head + "message A {\n  Strnig id = 1;\n}\n"}, "a.proto:3: field A.id: unknown type Strnig"},
		"import":         {contract.Reference{File: "a.proto"}, map[string]string{"a.proto": head + "\nimport \"b.proto\";\nmessage A {}"}, `a.proto:3: importing "b.proto": there is no such file in the catalogue's folder`},
		"import outside": {contract.Reference{File: "a.proto"}, map[string]string{"a.proto": head + "import \"../b.proto\";\nmessage A {}"}, `a.proto:2: importing "../b.proto": must be the name of a file in the catalogue's folder, without ".." and with slashes`},
		"in import":      {contract.Reference{File: "a.proto"}, map[string]string{"a.proto": head + "import \"b.proto\";\nmessage A {}", "b.proto": head + "\n\nmessage B {\n  int32 b = 0;\n}"}, "b.proto:5: tag number 0 must be greater than zero"},
		"itself":         {contract.Reference{File: "a.proto"}, map[string]string{"a.proto": head + "import \"a.proto\";\nmessage A {}"}, "a.proto:2: the imports make a circle: a.proto -> a.proto"},
		"circle": {contract.Reference{File: "a.proto"}, map[string]string{"a.proto": head + "import \"b.proto\";", "b.proto": head + "import \"c.proto\";", "c.proto": head + "\nimport \"b.proto\";"},
			"c.proto:3: the imports make a circle: b.proto -> c.proto -> b.proto"},
		"no message": {contract.Reference{File: "a.proto"}, map[string]string{"a.proto": head}, "a.proto: has no message"},
		"several":    {contract.Reference{File: "a.proto"}, map[string]string{"a.proto": head + "package x; message A { message C {} } message B {}"}, `a.proto: has several messages: "x.A", "x.B"; one must be named after a #`},
		"near":       {contract.Reference{File: "a.proto", Name: "x.Tiket"}, map[string]string{"a.proto": head + "package x; message Ticket {}"}, `a.proto: has no message "x.Tiket"; perhaps "x.Ticket"`},
		"far":        {contract.Reference{File: "a.proto", Name: "something.else"}, map[string]string{"a.proto": head + "package x; message Ticket {}"}, `a.proto: has no message "something.else"; it has "x.Ticket"`},
		"enum":       {contract.Reference{File: "a.proto", Name: "E"}, map[string]string{"a.proto": head + "enum E { A = 0; }"}, `a.proto: has no message "E"`},
		"JSON names": {contract.Reference{File: "a.proto"}, map[string]string{"a.proto": "syntax = \"proto2\";\nmessage A {\n optional int32 a_b = 1;\n optional int32 aB = 2;\n}"}, `a.proto:4: the fields "a_b" and "aB" are both "aB" in JSON`},
		"edition":    {contract.Reference{File: "a.proto"}, map[string]string{"a.proto": "edition = \"2099\";"}, `a.proto:1: edition value "2099" not recognized`},
		"option":     {contract.Reference{File: "a.proto"}, map[string]string{"a.proto": head + "option (no) = 1;"}, "a.proto:2: unknown extension no"},
		"package":    {contract.Reference{File: "a.proto"}, map[string]string{"a.proto": head + "package google.protobuf; message Any {}"}, "a.proto: the package google.protobuf is not for others"},
		"nesting":    {contract.Reference{File: "a.proto"}, map[string]string{"a.proto": head + strings.Repeat("message A {", 1000)}, "a.proto:2: is nested more than 200 levels deep"},
	} {
		_, err := protobufFrom(t, c.r, c.files)
		var source *contract.SourceError
		if !errors.As(err, &source) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", name, err, c.want)
		}
	}
}

func TestProtobufTooNested(t *testing.T) {
	open := strings.Repeat("<", 1000)
	for text, want := range map[string]int{
		"":                                    0,
		"\n" + open:                           2,
		"// " + open + "\n":                   0,
		"// " + open + "\n" + open:            2,
		"/* \n" + open + "*/\n" + open:        3,
		"/" + open:                            1,
		"/* " + open:                          0,
		`"\"` + open + `"` + "\n":             0,
		`'` + open + `'` + "\n" + open:        2,
		`"` + "\n" + open:                     2,
		strings.Repeat("map<a,b> {}\n", 1000): 0,
	} {
		if got := tooNested(text); got != want {
			t.Errorf("%.20q: %d, want %d", text, got, want)
		}
	}
}
