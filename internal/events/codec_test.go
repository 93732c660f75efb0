package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nats-test/internal/events/avro"
	"nats-test/internal/events/contract"
	"nats-test/internal/events/jsonschema"
	"nats-test/internal/events/protobuf"
)

// A format's case in the conformance suite is a catalogue of the same events:
// testdata/catalogues/FORMAT. A new format is one more line, and a folder.
var formatCases = []struct {
	format *contract.Format
	newer  string   // data of order:placed:newer, which listeners to order:placed understand
	want   string   // of it, for a listener with the old contract
	broken []broken // data that order:placed refuses
}{
	{
		format: jsonschema.Format,
		newer: `{"id":"0b8f2c1e-2f6a-4c55-9d0e-5a3f8a7d6b11","placedAt":"2030-01-02T03:04:05Z","total":{"amount":"1.00","currency":"EUR"},` +
			`"status":"paid","lines":[{"article":"a","count":1,"gift":true}],"payment":{"iban":"x"},"channel":"web"}`,
		want: `{"id":"0b8f2c1e-2f6a-4c55-9d0e-5a3f8a7d6b11","placedAt":"2030-01-02T03:04:05Z","total":{"amount":"1.00","currency":"EUR"},` +
			`"status":"paid","lines":[{"article":"a","count":1,"gift":true}],"payment":{"iban":"x"},"channel":"web"}`,
		broken: []broken{
			{`{"id":"x","placedAt":"y","total":{"amount":"1","currency":"EUR","tax":1},"status":"sent","lines":[{"article":1,"count":0}],"payment":{"card":"4242"},"chanel":1}`,
				[]string{"/chanel", "/id", "/lines/0/article", "/lines/0/count", "/placedAt", "/status", "/total/amount", "/total/tax"}},
			{`{"status":"placed","lines":[],"payment":{}}`, []string{"/id", "/lines", "/payment", "/placedAt", "/total"}},
		},
	},
	{
		format: protobuf.Format,
		newer:  `{"id":"o-2","number":"7","placedAt":"2030-01-02T03:04:05Z","total":{"cents":"1","currency":"EUR"},"channel":"web"}`,
		want: `{"id":"o-2","number":"7","placedAt":"2030-01-02T03:04:05Z","total":{"cents":"1","currency":"EUR"},"status":"STATUS_UNSPECIFIED",` +
			`"lines":[],"labels":{},"signature":"","revision":"0"}`,
		broken: []broken{
			{`{"id":1,"number":"9223372036854775808","placedAt":"y","total":{"cents":1.5,"tax":1},"status":"SENT","lines":[{"article":1,"count":3000000000}],` +
				`"labels":{"a":1},"signature":"*","payment":{"card":"1","iban":"2"},"chanel":1}`,
				[]string{"/chanel", "/id", "/labels/a", "/lines/0/article", "/lines/0/count", "/number", "/payment/iban", "/placedAt", "/signature", "/status", "/total/cents", "/total/tax"}},
			{`[]`, []string{""}},
		},
	},
	{
		format: avro.Format,
		newer: `{"id":"0b8f2c1e-2f6a-4c55-9d0e-5a3f8a7d6b11","number":7,"placedAt":"2030-01-02T03:04:05.000Z","total":"1.00","status":"paid",` +
			`"lines":[{"article":"a","count":1,"bundle":[]}],"payment":{"shared.Transfer":{"iban":"x"}},"channel":"web"}`,
		want: `{"id":"0b8f2c1e-2f6a-4c55-9d0e-5a3f8a7d6b11","number":7,"placedAt":"2030-01-02T03:04:05.000Z","total":"1.00","status":"paid",` +
			`"lines":[{"article":"a","count":1,"bundle":[]}],"labels":{},"signature":"","payment":{"shared.Transfer":{"iban":"x"}},"note":null}`,
		broken: []broken{
			{`{"id":1,"number":9223372036854775808,"placedAt":"y","total":"1.005","status":"sent","lines":[{"article":1,"count":3000000000}],` +
				`"labels":{"a":1},"signature":1,"payment":{"shared.Card":{}},"note":7,"chanel":1}`,
				[]string{"/chanel", "/id", "/labels/a", "/lines/0/article", "/lines/0/count", "/note", "/number", "/payment/shared.Card/number",
					"/placedAt", "/signature", "/status", "/total"}},
			{`{}`, []string{"/id", "/lines", "/number", "/payment", "/placedAt", "/status", "/total"}},
		},
	},
}

type broken struct {
	data   string
	faults []string // the paths of all
}

// eachFormat runs a test on every format's catalogue.
func eachFormat(t *testing.T, run func(t *testing.T, c *Catalogue, i int)) {
	t.Helper()
	for i, f := range formatCases {
		t.Run(f.format.Name, func(t *testing.T) {
			c, err := Load(filepath.Join("testdata", "catalogues", f.format.Name))
			if err != nil {
				t.Fatal(err)
			}
			run(t, c, i)
		})
	}
}

func contractOf(t testing.TB, c *Catalogue, subject string) *Contract {
	t.Helper()
	k, err := c.Lookup(subject)
	if err == nil {
		err = k.Compile()
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// codecFrom returns the codec of a file that the test writes.
func codecFrom(t testing.TB, f *contract.Format, r contract.Reference, text string) contract.Codec {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, r.File), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := f.New(contract.NewFolder(dir)).Compile(r)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// told returns faults on one line.
func told(faults []contract.Fault) string {
	all := make([]string, len(faults))
	for i, f := range faults {
		all[i] = f.String()
	}
	return strings.Join(all, "; ")
}

// compact returns JSON without the white space between its parts.
func compact(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, data); err != nil {
		t.Error(err)
	}
	return b.Bytes()
}

func TestCodecsRoundTrip(t *testing.T) {
	eachFormat(t, func(t *testing.T, c *Catalogue, _ int) {
		for _, k := range c.Contracts() {
			example, err := k.Example()
			if err != nil {
				t.Fatal(err)
			}
			wire, err := k.Encode(example)
			if err != nil {
				t.Fatalf("%s: the example %s: %v", k.Subject, example, err)
			}
			data, err := k.Decode(wire)
			if err != nil {
				t.Fatal(err)
			}
			if want := compact(t, example); k.example != nil && string(data) != string(want) {
				t.Errorf("%s:\nsent     %s\nreceived %s", k.Subject, want, data)
			}
			if bytes.ContainsAny(data, "\n") || !json.Valid(data) {
				t.Errorf("%s: not JSON on one line: %q", k.Subject, data)
			}
			again, err := k.Encode(data)
			if err != nil || !bytes.Equal(again, wire) {
				t.Errorf("%s: encoded again: %q, %v, want %q", k.Subject, again, err, wire)
			}
		}
	})
}

func TestCodecsListEveryFault(t *testing.T) {
	eachFormat(t, func(t *testing.T, c *Catalogue, i int) {
		k := contractOf(t, c, "order:placed")
		for _, b := range formatCases[i].broken {
			wire, err := k.Encode([]byte(b.data))
			invalid, ok := errors.AsType[*InvalidError](err)
			if !ok || wire != nil {
				t.Fatalf("%s: %v", b.data, err)
			}
			var paths []string
			for _, f := range invalid.Faults {
				paths = append(paths, f.Path)
				if f.Problem == "" || strings.ContainsAny(f.Problem, "\n") {
					t.Errorf("%s: %q", f.Path, f.Problem)
				}
			}
			if !slices.Equal(paths, b.faults) {
				t.Errorf("%s:\nfaults at %q\nwant      %q\n%v", b.data, paths, b.faults, err)
			}
		}
		for _, data := range []string{``, `{`, `{} {}`, "\xff", `nul`, `{"id":}`, "{\"a\":\"\n\"}"} {
			_, err := k.Encode([]byte(data))
			invalid, ok := errors.AsType[*InvalidError](err)
			if !ok || !strings.Contains(invalid.Error(), "not JSON") {
				t.Errorf("%q: %v", data, err)
			}
		}
	})
}

func TestCodecsAcceptWhatIsNewer(t *testing.T) {
	eachFormat(t, func(t *testing.T, c *Catalogue, i int) {
		wire, err := contractOf(t, c, "order:placed:newer").Encode([]byte(formatCases[i].newer))
		if err != nil {
			t.Fatal(err)
		}
		data, err := contractOf(t, c, "order:placed").Decode(wire)
		if err != nil || string(data) != formatCases[i].want {
			t.Errorf("%v\n got %s\nwant %s", err, data, formatCases[i].want)
		}
	})
}

func TestCodecsMakeSamples(t *testing.T) {
	eachFormat(t, func(t *testing.T, c *Catalogue, _ int) {
		for _, k := range c.Contracts() {
			codec, err := k.codec()
			if err != nil {
				t.Fatal(err)
			}
			sample, err := codec.Sample()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := k.Encode(sample); err != nil {
				t.Errorf("%s: the sample %s: %v", k.Subject, sample, err)
			}
			if again, err := codec.Sample(); err != nil || !bytes.Equal(again, sample) {
				t.Errorf("%s: another sample: %s, %v", k.Subject, again, err)
			}
		}
	})
}

func TestCodecsTellTheirContract(t *testing.T) {
	eachFormat(t, func(t *testing.T, c *Catalogue, i int) {
		for _, k := range c.Contracts() {
			codec, err := k.codec()
			if err != nil {
				t.Fatal(err)
			}
			if source := codec.Source(); len(source) < 20 || !strings.HasSuffix(source, "\n") {
				t.Errorf("%s: source %q", k.Subject, source)
			}
			if s := codec.Shape(); s == nil || s.Kind == contract.Any {
				t.Errorf("%s: shape %+v", k.Subject, s)
			}
			if changes := diffShapes(k.Subject, k.Format.Evolution, codec.Shape(), codec.Shape()); len(changes) > 0 {
				t.Errorf("%s: differs from itself: %v", k.Subject, changes)
			}
			if k.Format != formatCases[i].format {
				t.Errorf("%s: %s", k.Subject, k.Format)
			}
		}
	})
}
