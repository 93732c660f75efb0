package protobuf

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// protoConformance holds the requirements of Protobuf's own conformance tests
// (conformance/json_* in github.com/protocolbuffers/protobuf) for JSON, applied to
// testdata/all.proto: accepted data, and its output. An empty want means that the
// output equals data.
var protoConformance = []struct{ data, want string }{
	// Integers: their ranges, as strings, as floats.
	{`{"int32":2147483647}`, ``},
	{`{"int32":-2147483648}`, ``},
	{`{"uint32":4294967295}`, ``},
	{`{"int64":"9223372036854775807"}`, ``},
	{`{"int64":"-9223372036854775808"}`, ``},
	{`{"uint64":"18446744073709551615"}`, ``},
	{`{"int64":9223372036854774784}`, `{"int64":"9223372036854774784"}`},
	{`{"int64":-9223372036854775808}`, `{"int64":"-9223372036854775808"}`},
	{`{"uint64":18446744073709549568}`, `{"uint64":"18446744073709549568"}`},
	{`{"sint32":-2147483648,"sint64":"-9223372036854775808"}`, ``},
	{`{"fixed32":4294967295,"fixed64":"18446744073709551615"}`, ``},
	{`{"sfixed32":-2147483648,"sfixed64":"9223372036854775807"}`, ``},
	{`{"int32":"2147483647"}`, `{"int32":2147483647}`},
	{`{"int32":"2\u003147483647"}`, `{"int32":2147483647}`},
	{`{"int32":"0"}`, `{}`},
	{`{"int32":"1e5"}`, `{"int32":100000}`},
	{`{"int32":100000.000}`, `{"int32":100000}`},
	{`{"int32":1e5}`, `{"int32":100000}`},
	{`{"int32":2.147483647e9}`, `{"int32":2147483647}`},
	{`{"int32":-2.147483648e9}`, `{"int32":-2147483648}`},
	{`{"uint32":4.294967295e9}`, `{"uint32":4294967295}`},
	{`{"int32":-0}`, `{}`},
	// Floats.
	{`{"float":1.175494e-38}`, ``},
	{`{"float":-1.175494e-38}`, ``},
	{`{"float":3.402823e+38}`, ``},
	{`{"float":"1"}`, `{"float":1}`},
	{`{"float":"1.175494e-38"}`, `{"float":1.175494e-38}`},
	{`{"float":"NaN"}`, ``},
	{`{"float":"Infinity"}`, ``},
	{`{"float":"-Infinity"}`, ``},
	{`{"double":2.22507e-308}`, ``},
	{`{"double":1.79769e+308}`, ``},
	{`{"double":-1.79769e+308}`, ``},
	{`{"double":"1"}`, `{"double":1}`},
	{`{"double":"NaN"}`, ``},
	{`{"double":"Infinity"}`, ``},
	{`{"double":"-Infinity"}`, ``},
	{`{"double":-0.0}`, `{"double":-0}`},
	{`{"double":0.1}`, ``},
	{`{"float":0.1}`, ``},
	// Enums, bools.
	{`{"colour":"RED"}`, ``},
	{`{"colour":"CRIMSON"}`, `{"colour":"RED"}`},
	{`{"colour":1}`, `{"colour":"RED"}`},
	{`{"colour":-2}`, `{"colour":"BLUE"}`},
	{`{"colour":0}`, `{}`},
	{`{"colour":123}`, ``},
	{`{"maybeColour":"NONE"}`, ``},
	{`{"bool":true}`, ``},
	{`{"bool":false}`, `{}`},
	// Strings, bytes.
	{`{"string":"Hello world!"}`, ``},
	{`{"string":"谷歌"}`, ``},
	{`{"string":"\"\\\/\b\f\n\r\t"}`, `{"string":"\"\\/\b\f\n\r\t"}`},
	{`{"string":"\u8C37\u6B4C"}`, `{"string":"谷歌"}`},
	{`{"string":"\u8c37\u6b4c"}`, `{"string":"谷歌"}`},
	{`{"string":"\uD83D\uDE01"}`, `{"string":"😁"}`},
	{`{"string":"Hello\u0000world!"}`, ``},
	{`{"bytes":"AQI="}`, ``},
	{`{"bytes":"AQI"}`, `{"bytes":"AQI="}`},
	{`{"bytes":"-_"}`, `{"bytes":"+w=="}`},
	// Names.
	{`{"fieldname1":1,"fieldName2":2,"FieldName3":3,"fieldName4":4}`, ``},
	{`{"fieldname1":1,"field_name2":2,"_field_name3":3,"field__name4_":4}`, `{"fieldname1":1,"fieldName2":2,"FieldName3":3,"fieldName4":4}`},
	{`{"field0Name6":6,"FieldName8":8,"FIELDNAME11":11}`, ``},
	{`{"field_0_name6":6,"FIELD_NAME11":11}`, `{"field0Name6":6,"FIELDNAME11":11}`},
	{`{"fieldn\u0061me1":1}`, `{"fieldname1":1}`},
	{`{"@other":1}`, ``},
	{`{"renamed":1}`, `{"@other":1}`},
	{"{\n\"int32\"\n:\n1\n,\n\"int64\"\n:\n2\n}\n", `{"int32":1,"int64":"2"}`},
	{`{ "int32" : 1 , "int64" : 2 }`, `{"int32":1,"int64":"2"}`},
	// Presence, null.
	{`{}`, ``},
	{`{"maybeInt32":0,"maybeString":""}`, ``},
	{`{"int32":null,"int64":null,"float":null,"bool":null,"string":null,"bytes":null,"colour":null,"nested":null,"int32s":null,"byInt32":null,"timestamp":null,"any":null,"boolValue":null}`, `{}`},
	{`{"nested":{}}`, ``},
	// Lists, maps, messages.
	{`{"int32s":[1,2,3],"strings":["a","",""],"bytess":["","AQI="],"doubles":[0,-1.5,"NaN"]}`, ``},
	{`{"int32s":[]}`, `{}`},
	{`{"colours":["RED",1,"NONE",5]}`, `{"colours":["RED","RED","NONE",5]}`},
	{`{"nesteds":[{"a":1},{}]}`, `{"nesteds":[{"a":1},{"a":0}]}`},
	{`{"byInt32":{"1":2,"3":4}}`, ``},
	{`{"byBool":{"false":false,"true":true}}`, ``},
	{`{"byUint64":{"18446744073709551615":{"a":1}}}`, ``},
	{`{"bySint64":{"-9223372036854775808":"RED"}}`, ``},
	{`{"byFixed32":{"4294967295":1.5}}`, ``},
	{`{"byString":{"":"","a":"b"}}`, ``},
	{`{"byInt32":{"\u0031":2}}`, `{"byInt32":{"1":2}}`},
	{`{"byBool":{"tr\u0075e":true}}`, `{"byBool":{"true":true}}`},
	{`{"nested":{"a":1234}}`, ``},
	// Oneofs.
	{`{"choiceNumber":0}`, ``},
	{`{"choiceText":""}`, ``},
	{`{"choiceNested":{}}`, `{"choiceNested":{"a":0}}`},
	{`{"choiceNumber":1,"choiceText":null}`, `{"choiceNumber":1}`},
	{`{"choiceNull":null}`, ``},
	{`{"choiceNull":"NULL_VALUE"}`, `{"choiceNull":null}`},
	// Wrappers.
	{`{"boolValue":false,"int32Value":0,"int64Value":"0","uint32Value":0,"uint64Value":"0","floatValue":0,"doubleValue":0,"stringValue":"","bytesValue":""}`, ``},
	{`{"int32Value":"1","int64Value":1}`, `{"int32Value":1,"int64Value":"1"}`},
	{`{"int32Values":[0,1]}`, ``},
	// Timestamps.
	{`{"timestamp":"0001-01-01T00:00:00Z"}`, ``},
	{`{"timestamp":"9999-12-31T23:59:59.999999999Z"}`, ``},
	{`{"timestamps":["0001-01-01T00:00:00Z","9999-12-31T23:59:59.999999999Z"]}`, ``},
	{`{"timestamp":"1970-01-01T00:00:00.000Z"}`, `{"timestamp":"1970-01-01T00:00:00Z"}`},
	{`{"timestamp":"1969-12-31T23:59:59.999999999Z"}`, ``},
	{`{"timestamp":"1970-01-01T08:00:01+08:00"}`, `{"timestamp":"1970-01-01T00:00:01Z"}`},
	{`{"timestamp":"1969-12-31T16:00:01-08:00"}`, `{"timestamp":"1970-01-01T00:00:01Z"}`},
	{`{"timestamp":"1970-01-01T00:00:00.010Z"}`, ``},
	{`{"timestamp":"1970-01-01T00:00:00.000010Z"}`, ``},
	{`{"timestamp":"1970-01-01T00:00:00.00000001Z"}`, `{"timestamp":"1970-01-01T00:00:00.000000010Z"}`},
	// Durations.
	{`{"duration":"-315576000000.999999999s"}`, ``},
	{`{"duration":"315576000000.999999999s"}`, ``},
	{`{"duration":"-5s"}`, ``},
	{`{"duration":"-0.5s"}`, `{"duration":"-0.500s"}`},
	{`{"duration":"1.000000000s"}`, `{"duration":"1s"}`},
	{`{"duration":"1.01s"}`, `{"duration":"1.010s"}`},
	{`{"duration":"1.000000010s"}`, ``},
	// Field masks.
	{`{"fieldMask":"foo,barBaz"}`, ``},
	{`{"fieldMask":""}`, ``},
	// Struct, Value, ListValue.
	{`{"struct":{"a":null,"b":1,"c":"x","d":[1,{}],"e":{"f":true}}}`, ``},
	{`{"struct":{}}`, ``},
	{`{"value":1}`, ``},
	{`{"value":1.5}`, ``},
	{`{"value":false}`, ``},
	{`{"value":null}`, ``},
	{`{"value":"hello"}`, ``},
	{`{"value":[0,"hello"]}`, ``},
	{`{"value":{"value":1}}`, ``},
	{`{"values":[["a"],null]}`, ``},
	{`{"listValue":[1,null,[]]}`, ``},
	{`{"value":` + strings.Repeat("[", 25) + "1" + strings.Repeat("]", 25) + `}`, ``},
	{`{"value":` + strings.Repeat(`{"n":`, 25) + "1" + strings.Repeat("}", 25) + `}`, ``},
	// Any, Empty.
	{`{"any":{}}`, ``},
	{`{"any":{"@type":"type.googleapis.com/test.All.Nested","a":1}}`, ``},
	{`{"any":{"a":1,"@type":"type.googleapis.com/test.All.Nested"}}`, `{"any":{"@type":"type.googleapis.com/test.All.Nested","a":1}}`},
	{`{"any":{"@type":"type.googleapis.com/google.protobuf.Any","value":{"@type":"type.googleapis.com/test.All.Nested","a":1}}}`, ``},
	{`{"any":{"@type":"type.googleapis.com/google.protobuf.Int32Value","value":12345}}`, ``},
	{`{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1.500s"}}`, ``},
	{`{"any":{"@type":"type.googleapis.com/google.protobuf.Timestamp","value":"1970-01-01T00:00:00Z"}}`, ``},
	{`{"any":{"@type":"type.googleapis.com/google.protobuf.FieldMask","value":"foo,barBaz"}}`, ``},
	{`{"any":{"@type":"type.googleapis.com/google.protobuf.Struct","value":{"foo":1}}}`, ``},
	{`{"any":{"@type":"type.googleapis.com/google.protobuf.Value","value":{"foo":1}}}`, ``},
	{`{"any":{"@type":"type.googleapis.com/google.protobuf.Value","value":1}}`, ``},
	{`{"any":{"@type":"type.googleapis.com/google.protobuf.Empty"}}`, ``},
	{`{"anys":[{"@type":"/google.protobuf.BoolValue","value":false}]}`, ``},
	{`{"empty":{}}`, ``},
}

// protoRefused holds data that the same tests require an implementation to refuse.
var protoRefused = []string{
	`{"int32":2147483648}`, `{"int32":-2147483649}`, `{"uint32":4294967296}`, `{"uint32":-1}`,
	`{"int64":"9223372036854775808"}`, `{"int64":"-9223372036854775809"}`, `{"uint64":"18446744073709551616"}`,
	`{"uint64":"1e536870000"}`, `{"int32":0.5}`, `{"uint32":0.5}`, `{"int64":"0.5"}`, `{"uint64":"0.5"}`,
	`{"int32":true}`, `{"int32":"12abc"}`, `{"int32":"12 34"}`, `{"int32":"12,34"}`, `{"int32":"abc"}`, `{"int32":""}`,
	`{"int32":" 1"}`, `{"int32":"1 "}`, `{"int32":"١٢٣"}`, `{"int64":"１２３"}`, `{"int32":01}`, `{"int32":"01"}`, `{"int32":+1}`, `{"int32":"+1"}`,
	`{"int32":[]}`, `{"int32":{}}`, `{"uint32":""}`, `{"int64":""}`, `{"uint64":""}`,
	`{"float":NaN}`, `{"float":Infinity}`, `{"float":-Infinity}`, `{"float":3.502823e+38}`, `{"float":-3.502823e+38}`,
	`{"float":""}`, `{"float":"12abc"}`, `{"float":"nan"}`, `{"float":true}`, `{"double":1.89769e+308}`, `{"double":"inf"}`, `{"double":""}`,
	`{"colour":"red"}`, `{"colour":"NO"}`, `{"colour":1.5}`, `{"colour":true}`, `{"colour":"1"}`, `{"colour":2147483648}`,
	`{"bool":"true"}`, `{"bool":1}`, `{"bool":0}`, `{"bool":"abc"}`,
	`{"string":12345}`, `{"string":true}`, `{"string":"\U8C37"}`, `{"string":"\uXXXX"}`, `{"string":"\u8C3"}`, `{"string":"\uD800"}`,
	`{"string":"\uDC00"}`, `{"string":"\uDE01\uD83D"}`, `{'string':"a"}`, `{"string":'a'}`, `{"string":"a`, `{"string":"a\`, "{\"string\":\"a\nb\"}", "{\"string\":\"\xff\"}",
	`{"bytes":"!"}`, `{"bytes":1}`, `{"bytes":"A"}`,
	`{fieldname1:1}`, `{"fieldname1":1,}`, `{"fieldname1":1 , }`, `{"int32":1 "int64":2}`, "{// no\n\"int32\":1}", `{"int32":1}{}`, ``, ` `, `null`, `1`, `"a"`, `[]`, `{`, `}`,
	`{"unknown":1}`, `{"":1}`, `{"nested":{"a":1},"nested":{}}`, `{"fieldName2":1,"field_name2":2}`, `{"field_name2":1,"fieldName2":2}`, `{"Fieldname1":1}`,
	`{"int32s":[1,null]}`, `{"nesteds":[{"a":1},null]}`, `{"int32s":1}`, `{"int32s":{}}`, `{"int32s":[1,"a"]}`, `{"strings":["a",1]}`, `{"int32s":[1,]}`, `{"int32s":[[1]]}`, `{"nesteds":[1]}`,
	`{"byInt32":{null:1}}`, `{"byInt32":{"0":null}}`, `{"byInt32":{1:2}}`, `{"byBool":{true:true}}`, `{"byInt32":{"a":1}}`, `{"byInt32":{"1":1,"1":2}}`, `{"byInt32":{"1.0":1}}`, `{"byInt32":[]}`, `{"byBool":{"1":true}}`, `{"byUint64":{"1":null}}`,
	`{"choiceNumber":1,"choiceText":"a"}`, `{"nested":[]}`, `{"nested":1}`,
	`{"boolValue":1}`, `{"int32Value":{"value":1}}`, `{"stringValue":1}`, `{"int32Values":[null]}`, `{"bytesValue":"!"}`,
	`{"timestamp":"0000-01-01T00:00:00Z"}`, `{"timestamp":"10000-01-01T00:00:00Z"}`, `{"timestamp":"0001-01-01T00:00:00"}`, `{"timestamp":"0001-01-01 00:00:00Z"}`,
	`{"timestamp":"0001-01-01T00:00:00z"}`, `{"timestamp":"0001-01-01t00:00:00Z"}`, `{"timestamp":"1970-01-01T08:00:01+0800"}`, `{"timestamp":"1970-01-32T00:00:00Z"}`,
	`{"timestamp":"1970-01-01T25:00:00Z"}`, `{"timestamp":"1970-01-01T00:00:00.1234567891Z"}`, `{"timestamp":1}`, `{"timestamp":{}}`,
	`{"duration":"1"}`, `{"duration":"-315576000001s"}`, `{"duration":"315576000001.000000000s"}`, `{"duration":"s"}`, `{"duration":"1.0000000001s"}`, `{"duration":1}`,
	`{"fieldMask":"foo,bar_bar"}`, `{"fieldMask":["foo"]}`, `{"fieldMask":"a,,b"}`,
	`{"struct":[]}`, `{"struct":1}`, `{"listValue":{}}`, `{"value":1e400}`, `{"struct":{"a":1,"a":2}}`,
	`{"value":` + strings.Repeat("[", 200) + "1" + strings.Repeat("]", 200) + `}`,
	`{"value":` + strings.Repeat(`{"n":`, 200) + "1" + strings.Repeat("}", 200) + `}`,
	`{"any":{"@type":"","value":""}}`, `{"any":{"@type":"not_a_url","value":""}}`, `{"any":{"@type":"x/no.Such"}}`, `{"any":{"value":1}}`, `{"any":[]}`, `{"any":{"@type":1}}`,
	`{"any":{"@type":"x/google.protobuf.Duration","value":"1s","more":1}}`, `{"any":{"@type":"x/google.protobuf.Duration"}}`, `{"empty":{"a":1}}`, `{"empty":null,"empty":{}}`,
}

func TestProtobufConformance(t *testing.T) {
	k := protobufOf(t, "all.proto", "test.All")
	for _, c := range protoConformance {
		wire, faults := k.Encode([]byte(c.data))
		if faults != nil {
			t.Errorf("%s: %v", c.data, faults)
			continue
		}
		data, faults := k.Decode(wire)
		if faults != nil || bytes.ContainsAny(data, "\n") {
			t.Errorf("%s: decoded to %q, %v", c.data, data, faults)
			continue
		}
		if c.want == "" {
			c.want = c.data
		}
		if got := withoutDefaults(t, data); got != withoutDefaults(t, []byte(c.want)) {
			t.Errorf("%s\n got %s\nwant %s", c.data, got, c.want)
		}
		again, faults := k.Encode(data)
		if !bytes.Equal(again, wire) || faults != nil {
			t.Errorf("%s: %x, and then %x %v", c.data, wire, again, faults)
		}
	}
	for _, data := range protoRefused {
		if wire, faults := k.Encode([]byte(data)); faults == nil || wire != nil {
			t.Errorf("%s was encoded to %x", data, wire)
		}
	}
	t.Logf("%d valid, %d refused", len(protoConformance), len(protoRefused))
}

// withoutDefaults returns data of test.All, sorted by name, without the fields that
// decode adds because they have no presence.
func withoutDefaults(t *testing.T, data []byte) string {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for name, raw := range all {
		present := strings.HasPrefix(name, "maybe") || strings.HasPrefix(name, "choice") || strings.HasSuffix(name, "Value") ||
			strings.HasPrefix(name, "f") && name == "fieldMask" || name == "struct" || name == "any" || name == "empty" || name == "value" || name == "listValue"
		switch string(raw) {
		case `0`, `"0"`, `""`, `false`, `[]`, `{}`, `"NONE"`:
			if !present && name != "nested" {
				delete(all, name)
			}
		}
		if name == "nested" && string(raw) == "{}" {
			all[name] = json.RawMessage(`{"a":0}`)
		}
	}
	sorted, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(sorted)
}
