package events

import (
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	schemas "github.com/google/jsonschema-go/jsonschema"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

func lookup(t testing.TB, subject string) *Contract {
	t.Helper()
	c, err := Ticketing().Lookup(subject)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The names, the order and the example of every event are what users script
// against, so they stand here in full.
func TestCatalogue(t *testing.T) {
	want := []struct{ subject, example string }{
		{"ticket:created", `{"id":"tck_1","version":1,"title":"Concert","price":20,"userId":"usr_1"}`},
		{"ticket:updated", `{"id":"tck_1","version":2,"title":"Concert","price":25.5,"userId":"usr_1","orderId":"ord_1"}`},
		{"order:created", `{"id":"ord_1","version":1,"status":"created","userId":"usr_2","expiresAt":"2030-01-02T03:04:05Z","ticket":{"id":"tck_1","price":25.5}}`},
		{"order:cancelled", `{"id":"ord_1","version":2,"ticket":{"id":"tck_1"}}`},
		{"expiration:complete", `{"orderId":"ord_1"}`},
		{"payment:created", `{"id":"pay_1","orderId":"ord_1","stripeId":"ch_1"}`},
	}
	contracts := Ticketing().Contracts()
	if len(contracts) != len(want) {
		t.Fatalf("%d events", len(contracts))
	}
	for i, c := range contracts {
		example, err := c.Example()
		if err != nil {
			t.Fatal(err)
		}
		if c.Subject != want[i].subject || string(example) != want[i].example || c.Description == "" {
			t.Errorf("%s: %s (%q)", c.Subject, example, c.Description)
		}
		if sent, err := c.Encode(example); err != nil || string(sent) != string(example) {
			t.Errorf("%s: the example is refused: %v", c.Subject, err)
		}
		if valid, compact := ruleFor(t, c).recognise(example); !valid || !compact {
			t.Errorf("%s: the example is not recognised", c.Subject)
		}
	}
}

func ruleFor(t testing.TB, c *Contract) *rule {
	t.Helper()
	codec, err := c.codec()
	if err != nil {
		t.Fatal(err)
	}
	return codec.(*builtin).rule
}

// The schemas are those of the types.
func TestSchemasFollowTheTypes(t *testing.T) {
	special := map[reflect.Type]*schemas.Schema{
		reflect.TypeFor[time.Time](): {Type: "string", Format: "date-time"},
		reflect.TypeFor[OrderStatus](): {Type: "string", Enum: []any{
			OrderCreated, OrderCancelled, OrderAwaitingPayment, OrderComplete}},
	}
	for _, data := range []Event{
		TicketCreatedEvent{}, TicketUpdatedEvent{}, OrderCreatedEvent{}, OrderCancelledEvent{}, ExpirationCompleteEvent{}, PaymentCreatedEvent{},
	} {
		c := lookup(t, data.Subject())
		want, err := schemas.ForType(reflect.TypeOf(data), &schemas.ForOptions{TypeSchemas: special})
		if err != nil {
			t.Fatal(err)
		}
		want.Schema, want.Title, want.Description = "https://json-schema.org/draft/2020-12/schema", c.Subject, c.Description
		text, err := c.Source()
		if err != nil {
			t.Fatal(err)
		}
		ofType, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if err := errors.Join(json.Unmarshal([]byte(text), &a), json.Unmarshal(ofType, &b)); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s: the schema is\n%s\nthat of the type is\n%s", c.Subject, text, ofType)
		}
	}
}

// fullValidator returns a full validator of the contract's schema.
func fullValidator(t testing.TB, c *Contract) *jsonschema.Schema {
	t.Helper()
	text, err := c.Source()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"$schema": "https://json-schema.org/draft/2020-12/schema"`) {
		t.Errorf("%s: no draft in %s", c.Subject, text)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("mem:schema", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("mem:schema")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestEncodeListsEveryFault(t *testing.T) {
	tests := []struct{ subject, data, want string }{
		{"ticket:created", `{"id":"1","title":"T","price":1,"userId":"u"}`, ""},
		{"ticket:created", ` { "id" : "1", "version" : 1, "title":"é\u00e9\"", "price":-1.5e3, "userId":"" } `, ""},
		{"ticket:created", `{"id":1,"version":"1","title":null,"price":"1","userId":true}`,
			"/id: is number, must be string; /price: is string, must be number; /title: is null, must be string; " +
				"/userId: is boolean, must be string; /version: is string, must be integer"},
		{"ticket:created", `{"id":"1","titel":"T","price":1}`, "/titel: unknown field; /title: missing; /userId: missing"},
		{"ticket:created", `{"id":"1","title":"T","price":1,"userId":"u","version":1.5}`, "/version: is number, must be integer"},
		{"ticket:created", `{"id":"1","title":"T","price":1,"userId":"u","a/b~":1}`, "/a~1b~0: unknown field"},
		{"order:created", `{"id":"1","version":1,"status":"paid","userId":"u","expiresAt":"2030-13-01T00:00:00Z","ticket":{"id":"1","price":"x"}}`,
			`/expiresAt: "2030-13-01T00:00:00Z" is no date-time, such as 2030-01-02T03:04:05Z; ` +
				`/status: is "paid", must be one of "created", "cancelled", "awaiting:payment", "complete"; /ticket/price: is string, must be number`},
		{"order:created", `{"id":"1","version":1,"status":"awaiting:payment","userId":"u","expiresAt":"2030-01-31T23:59:59.999+02:00","ticket":{"id":"1","price":1}}`, ""},
		{"order:created", `{"id":"1","version":1,"status":"complete","userId":"u","expiresAt":"2030-02-30T00:00:00Z","ticket":{"id":"1","price":1}}`,
			`/expiresAt: "2030-02-30T00:00:00Z" is no date-time, such as 2030-01-02T03:04:05Z`},
		{"order:cancelled", `{"id":"1","version":1,"ticket":[]}`, "/ticket: is array, must be object"},
		{"expiration:complete", ``, "not JSON: it is empty"},
		{"expiration:complete", `"x"`, "is string, must be object"},
		{"expiration:complete", `{"orderId":"1"} 2`, "not JSON: something follows the value"},
		{"expiration:complete", `{"orderId":"1"`, "not JSON: it ends in the middle of a value"},
		{"expiration:complete", `{"orderId":01}`, "not JSON: invalid character '1' after object key:value pair (at byte 13)"},
		{"expiration:complete", "{\"orderId\":\"\xff\"}", "not JSON: the bytes are not UTF-8"},
		{"expiration:complete", "{\"orderId\":\"a\nb\"}", "not JSON: invalid character '\\n' in string literal (at byte 14)"},
	}
	for _, test := range tests {
		sent, err := lookup(t, test.subject).Encode([]byte(test.data))
		got := ""
		if invalid, ok := errors.AsType[*InvalidError](err); ok {
			got = strings.TrimPrefix(invalid.Error(), `the data is no "`+test.subject+`" event: `)
		} else if err != nil {
			t.Fatal(err)
		}
		if got != test.want {
			t.Errorf("%s: %s\n got %s\nwant %s", test.subject, test.data, got, test.want)
		}
		if err == nil && strings.ContainsAny(string(sent), "\n\t") || err == nil && strings.Contains(string(sent), " :") {
			t.Errorf("not compact: %s", sent)
		}
	}
}

func TestDecodeAllowsWhatIsNewer(t *testing.T) {
	newer := []byte(`{"id":"1","version":2,"ticket":{"id":"1","seat":{"row":7}},"reason":null}`)
	c := lookup(t, "order:cancelled")
	if _, err := c.Encode(newer); err == nil {
		t.Error("a publisher may not send unknown fields")
	}
	if _, err := c.Decode(newer); err != nil {
		t.Error(err)
	}
	if _, err := c.Decode([]byte(`{"id":"1","ticket":{"id":"1","seat":1}}`)); err == nil {
		t.Error("a missing field was accepted")
	}
}

func TestLookupAndMatch(t *testing.T) {
	nearest := func(err error) string {
		if unknown, ok := errors.AsType[*UnknownError](err); ok {
			return unknown.Nearest
		}
		return "no UnknownError"
	}
	for subject, want := range map[string]string{
		"ticket:crated": "ticket:created", "TICKET:CREATED": "ticket:created", "order:canceled": "order:cancelled",
		"payments:created": "payment:created", "something else": "", "": "", strings.Repeat("x", 10000): "",
	} {
		if _, err := Ticketing().Lookup(subject); nearest(err) != want {
			t.Errorf("%.20q: nearest is %q, want %q", subject, nearest(err), want)
		}
	}
	for pattern, want := range map[string]int{"*": 6, "ticket:*": 2, "*:created": 3, "ticket:created": 1} {
		if found, err := Ticketing().Match(pattern); err != nil || len(found) != want {
			t.Errorf("%s: %d contracts, %v", pattern, len(found), err)
		}
	}
	if _, err := Ticketing().Match("bus:*"); nearest(err) == "no UnknownError" {
		t.Error(err)
	}
	if !slices.Contains(Ticketing().Subjects(), "order:cancelled") {
		t.Error(Ticketing().Subjects())
	}
}

// FuzzCheck holds our verdict against that of a full validator on the schema
// that `publish events` shows, and the quick recogniser against both.
func FuzzCheck(f *testing.F) {
	references := make(map[string]*jsonschema.Schema)
	for _, c := range Ticketing().Contracts() {
		references[c.Subject] = fullValidator(f, c)
		example, err := c.Example()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(c.Subject, example)
		f.Add(c.Subject, []byte(strings.ReplaceAll(string(example), ",", " ,\n")))
		f.Add(c.Subject, []byte(strings.Replace(string(example), "{", `{"id":"0",`, 1)))
		f.Add(c.Subject, []byte(strings.ReplaceAll(string(example), ":1", ":-0.10e1")))
		f.Add(c.Subject, []byte(strings.ReplaceAll(string(example), "2030-01-02T03:04:05Z", "2028-02-29t23:59:59.5+14:00")))
	}
	f.Fuzz(func(t *testing.T, subject string, data []byte) {
		c, err := Ticketing().Lookup(subject)
		if err != nil {
			return
		}
		valid, compact := ruleFor(t, c).recognise(data)
		sent, err := c.Encode(data)
		if valid && err != nil {
			t.Fatalf("recognised, but %v", err)
		}
		value, decoding := decode(data)
		if decoding != nil {
			if err == nil {
				t.Fatalf("taken, but %v", decoding)
			}
			return
		}
		if hugeExponent.Match(data) || leapSecond.Match(data) {
			return // the reference would count to it; Go's time knows no leap seconds
		}
		if full := references[subject].Validate(value); (full == nil) != (err == nil) {
			t.Fatalf("ours: %v; a full validator: %v", err, full)
		}
		if err != nil {
			return
		}
		if valid && compact && string(sent) != string(data) {
			t.Fatalf("changed to %s", sent)
		}
		var before, after any
		if json.Unmarshal(data, &before) != nil || json.Unmarshal(sent, &after) != nil || !reflect.DeepEqual(before, after) {
			t.Fatalf("changed to %s", sent)
		}
		if _, err := c.Decode(sent); err != nil {
			t.Fatalf("what may be published must be accepted: %v", err)
		}
	})
}

var (
	hugeExponent = regexp.MustCompile(`[eE][-+]?[0-9]{4}`)
	leapSecond   = regexp.MustCompile(`:60`)
)

func TestIsInteger(t *testing.T) {
	for number, want := range map[string]bool{
		"0": true, "-0": true, "1": true, "1.0": true, "1.5": false, "15e-1": false, "10e-1": true, "1.5e1": true, "1.55e1": false,
		"0.0e-5": true, "0e-9999999999999999999": true, "1e99999999999999999999": true, "1e-99999999999999999999": false,
		"9007199254740993.5": false, "100e-2": true, "100e-3": false, "0.10e1": true, "0.01E+2": true,
	} {
		if isInteger(number) != want {
			t.Errorf("%s: %v", number, !want)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	c := lookup(b, "ticket:created")
	for name, data := range map[string]string{
		"recognised": `{"id":"ticket-000001","version":1,"title":"Concert in the great hall, row 12","price":20.5,"userId":"user-1"}`,
		"validated":  `{"id":"ticket-000001","version":1,"title":"Concert in the great hall, row 12","price":2e1,"userId":"user-1"}`,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := c.Encode([]byte(data)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Go's time takes more than RFC 3339 allows.
func TestParseTime(t *testing.T) {
	for text, want := range map[string]bool{
		"2030-01-02T03:04:05Z": true, "2030-01-02t03:04:05.5z": true, "2030-01-02T03:04:05+23:59": true,
		"2030-01-02T3:04:05Z": false, "0000-01-01T0:00:00Z": false, "2030-01-02T03:04:05,5Z": false,
		"2030-01-02T03:04:05+24:00": false, "2030-01-02T03:04:05-23:60": false, "2030-02-29T03:04:05Z": false, "Z": false, "": false,
	} {
		if _, ok := parseTime(text); ok != want {
			t.Errorf("%s: %v", text, ok)
		}
	}
}
