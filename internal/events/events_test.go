package events

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func lookup(t testing.TB, subject string) *Contract {
	t.Helper()
	c, err := Ticketing().Lookup(subject)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Scripts depend on the names, the order and the example of every event, so they
// are listed here in full.
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
	}
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
			`/expiresAt: "2030-13-01T00:00:00Z" is not a date-time, such as 2030-01-02T03:04:05Z; ` +
				`/status: is "paid", must be one of "created", "cancelled", "awaiting:payment", "complete"; /ticket/price: is string, must be number`},
		{"order:created", `{"id":"1","version":1,"status":"awaiting:payment","userId":"u","expiresAt":"2030-01-31T23:59:59.999+02:00","ticket":{"id":"1","price":1}}`, ""},
		{"order:created", `{"id":"1","version":1,"status":"complete","userId":"u","expiresAt":"2030-02-30T00:00:00Z","ticket":{"id":"1","price":1}}`,
			`/expiresAt: "2030-02-30T00:00:00Z" is not a date-time, such as 2030-01-02T03:04:05Z`},
		{"order:cancelled", `{"id":"1","version":1,"ticket":[]}`, "/ticket: is array, must be object"},
		{"expiration:complete", ``, "not JSON: it is empty"},
		{"expiration:complete", `"x"`, "is string, must be object"},
		{"expiration:complete", `{"orderId":"1"} 2`, "not JSON: text follows the value"},
		{"expiration:complete", `{"orderId":"1"`, "not JSON: it ends in the middle of a value"},
		{"expiration:complete", `{"orderId":01}`, "not JSON: expected \",\" or \"}\", found '1' (at byte 13)"},
		{"expiration:complete", "{\"orderId\":\"\xff\"}", "not JSON: the bytes are not UTF-8"},
		{"expiration:complete", "{\"orderId\":\"a\nb\"}", "not JSON: a string can't hold '\\n' unless it is escaped (line 1, byte 14)"},
	}
	for _, test := range tests {
		sent, err := lookup(t, test.subject).Encode([]byte(test.data))
		got := ""
		if invalid, ok := errors.AsType[*InvalidError](err); ok {
			got = strings.TrimPrefix(invalid.Error(), `the data is not a valid "`+test.subject+`" event: `)
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
