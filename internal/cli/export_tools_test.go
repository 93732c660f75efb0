package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"nats-test/internal/events"
)

// These tests pass the exported contracts to the reference tools of their formats:
// a tool must accept the contracts and all examples, and refuse variants of the
// examples broken in one place.

// A sample is data for an event: its example, or that with one change.
type sample struct {
	subject string
	change  change
	at      string // JSON pointer to the change
	data    any
}

type change string

const (
	unchanged       change = "unchanged"
	optionalMissing change = "missing, but optional"
	requiredMissing change = "missing"
	wrongType       change = "of a wrong type"
	wrongValue      change = "no value of the enum"
	unknownField    change = "unknown"
)

// A verdict is a tool's result for a sample.
type verdict struct {
	Problem string // "": it was taken
	Back    any    // the sample encoded and decoded by the tool; nil if it does not encode
}

func TestExportedSchemasInAjv(t *testing.T) {
	t.Parallel()
	needNode(t, "ajv", "ajv-formats")
	dir, manifest := exported(t, "jsonschema")
	samples := samplesOf(t, manifest)
	judge(t, samples, askScript(t, "check-jsonschema.js", dir, manifest, samples), requiredMissing, wrongType, wrongValue, unknownField)
}

func TestExportedRecordsInAvsc(t *testing.T) {
	t.Parallel()
	needNode(t, "avsc")
	dir, manifest := exported(t, "avro")
	samples := samplesOf(t, manifest)
	// avsc looks only for the fields that it knows.
	judge(t, samples, askScript(t, "check-avro.js", dir, manifest, samples), requiredMissing, wrongType, wrongValue)
}

// Buf compiles the messages and judges their style; its library for JavaScript,
// which is strict about JSON where `buf convert` is not, encodes with them.
func TestExportedMessagesInBuf(t *testing.T) {
	t.Parallel()
	needNode(t, "@bufbuild/buf", "@bufbuild/protobuf")
	dir, manifest := exported(t, "proto")
	compiled := filepath.Join(t.TempDir(), "events.binpb")
	for _, args := range [][]string{{"lint", dir}, {"build", dir, "--as-file-descriptor-set", "-o", compiled}} {
		cmd := exec.Command("node", append([]string{nodeScript("node_modules/@bufbuild/buf/bin/buf")}, args...)...)
		cmd.Env = append(os.Environ(), "BUF_CACHE_DIR="+t.TempDir())
		outputOf(t, cmd)
	}
	samples := samplesOf(t, manifest)
	// In proto3, a missing field is an empty one.
	judge(t, samples, askScript(t, "check-proto.js", compiled, manifest, samples), wrongType, wrongValue, unknownField)
}

func TestExportedTypesInTSC(t *testing.T) {
	t.Parallel()
	needNode(t, "typescript")
	dir, _ := exported(t, "typescript")
	manifest := make(map[string]manifestEntry)
	for _, c := range events.Ticketing().Contracts() {
		example, err := c.Example()
		if err != nil {
			t.Fatal(err)
		}
		manifest[c.Subject] = manifestEntry{Example: string(example)}
	}
	samples := samplesOf(t, manifest)
	args := []string{nodeScript("node_modules/typescript/bin/tsc"), "--noEmit", "--strict", "--pretty", "false",
		"--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler", filepath.Join(dir, "events.ts")}
	for i, s := range samples {
		first, second, _ := strings.Cut(s.subject, ":")
		event := strings.ToUpper(first[:1]) + first[1:] + strings.ToUpper(second[:1]) + second[1:]
		// Enum values are not strings in TypeScript, so the sample uses their
		// names.
		data := strings.ReplaceAll(string(mustMarshal(t, s.data)), `"status":"created"`, `"status":OrderStatus.Created`)
		text := fmt.Sprintf("import { OrderStatus, Subjects, type TicketingEvent, type %[1]sEvent } from './events';\n"+
			"const x: %[1]sEvent['data'] = %[2]s;\n"+
			"export const all: TicketingEvent = { subject: Subjects.%[1]s, data: x };\n"+
			"export const subject: '%[3]s' extends `${Subjects.%[1]s}` ? OrderStatus : never = OrderStatus.Created;\n", event, data, s.subject)
		file := filepath.Join(dir, fmt.Sprintf("sample%d.ts", i))
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	verdicts := make([]verdict, len(samples))
	out, err := exec.Command("node", args...).CombinedOutput()
	if err == nil {
		t.Fatal("tsc takes all")
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, " ") { // explains the line above
			continue
		}
		at, problem, _ := strings.Cut(line, "(")
		var i int
		if _, err := fmt.Sscanf(filepath.Base(at), "sample%d.ts", &i); err != nil {
			t.Fatalf("tsc: %s", out)
		}
		if !strings.HasPrefix(problem, "2,") { // the line with the data
			t.Errorf("tsc: %s", line)
		}
		verdicts[i].Problem = problem
	}
	judge(t, samples, verdicts, requiredMissing, wrongType, wrongValue, unknownField)
}

type manifestEntry struct{ Description, Contract, Example string }

// exported returns a folder with the exported built-in catalogue, and the content
// of its manifest, if it has one.
func exported(t *testing.T, as string) (dir string, manifest map[string]manifestEntry) {
	t.Helper()
	files, err := events.ExportTicketing(as)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := events.WriteFiles(dir, files); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name == "events.yaml" {
			var content struct{ Events map[string]manifestEntry }
			if err := yaml.Unmarshal(f.Data, &content); err != nil {
				t.Fatal(err)
			}
			manifest = content.Events
		}
	}
	return dir, manifest
}

// samplesOf returns the manifest's examples, and each with all the changes that
// its fields allow.
func samplesOf(t *testing.T, manifest map[string]manifestEntry) []sample {
	t.Helper()
	if len(manifest) != 6 {
		t.Fatalf("%d events in the manifest", len(manifest))
	}
	optional := map[string]bool{"ticket:created/version": true, "ticket:updated/version": true, "ticket:updated/orderId": true}
	var all []sample
	for subject, entry := range manifest {
		add := func(as change, at string, make func(data map[string]any)) {
			data := object(t, []byte(entry.Example))
			make(data)
			all = append(all, sample{subject, as, at, data})
		}
		add(unchanged, "", func(map[string]any) {})
		add(unknownField, "/seat", func(data map[string]any) { data["seat"] = "7" })

		var visit func(at string, inside func(data map[string]any) map[string]any)
		visit = func(at string, inside func(map[string]any) map[string]any) {
			for name, value := range inside(object(t, []byte(entry.Example))) {
				path := at + "/" + name
				missing := requiredMissing
				if optional[subject+path] {
					missing = optionalMissing
				}
				add(missing, path, func(data map[string]any) { delete(inside(data), name) })
				add(wrongType, path, func(data map[string]any) { inside(data)[name] = true })
				if name == "status" {
					add(wrongValue, path, func(data map[string]any) { inside(data)[name] = "paid" })
				}
				if _, ok := value.(map[string]any); ok {
					visit(path, func(data map[string]any) map[string]any { return inside(data)[name].(map[string]any) })
				}
			}
		}
		visit("", func(data map[string]any) map[string]any { return data })
	}
	return all
}

// judge fails the test unless exactly the samples with one of the changes were
// refused, and the examples came back as they went.
func judge(t *testing.T, samples []sample, verdicts []verdict, refused ...change) {
	t.Helper()
	if len(verdicts) != len(samples) {
		t.Fatalf("%d verdicts on %d samples", len(verdicts), len(samples))
	}
	seen := make(map[change]int)
	for i, s := range samples {
		seen[s.change]++
		v := verdicts[i]
		if (v.Problem != "") != slices.Contains(refused, s.change) {
			t.Errorf("%s: with %q %s, the tool said %q", s.subject, s.at, s.change, v.Problem)
		}
		if s.change == unchanged && v.Back != nil && !reflect.DeepEqual(v.Back, s.data) {
			t.Errorf("%s: the example\n%v\ncame back as\n%v", s.subject, s.data, v.Back)
		}
	}
	want := map[change]int{unchanged: 6, optionalMissing: 3, requiredMissing: 24, wrongType: 27, wrongValue: 1, unknownField: 6}
	if !maps.Equal(seen, want) {
		t.Errorf("the samples were %v, want %v", seen, want)
	}
}

// askScript asks a script of testdata/node for its verdicts.
func askScript(t *testing.T, script, contracts string, manifest map[string]manifestEntry, samples []sample) []verdict {
	t.Helper()
	type question struct {
		Contract string `json:"contract"`
		Data     any    `json:"data"`
	}
	var questions []question
	for _, s := range samples {
		questions = append(questions, question{manifest[s.subject].Contract, s.data})
	}
	cmd := exec.Command("node", nodeScript(script), contracts)
	cmd.Stdin = bytes.NewReader(mustMarshal(t, questions))
	var verdicts []verdict
	if err := json.Unmarshal(outputOf(t, cmd), &verdicts); err != nil {
		t.Fatal(err)
	}
	return verdicts
}

// outputOf returns the stdout of a command.
func outputOf(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, &stdout, &stderr)
	}
	return stdout.Bytes()
}

func mustMarshal(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
