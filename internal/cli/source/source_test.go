package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"nats-test/internal/cli/console"
)

// What a template may hold, and what is refused.
func TestTemplate(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want string }{
		{``, `^$`},
		{`{"a":{}}`, `^\{"a":\{\}\}$`},
		{`{"n":{{.N}},"o":{"n":{{ .N }}}}`, `^\{"n":7,"o":\{"n":7\}\}$`},
		{"{{\tuuid }}", `^[0-9a-f-]{36}$`},
		{`{{now}}`, `^20[0-9-]+T[0-9:]+\.[0-9]{3}Z$`},
		{`{{`, `a {{ without }}`},
		{`{{.N}} {{.N}`, `a {{ without }}`},
		{`{{.X}}`, `unknown "{{.X}}"`},
		{`{{}}`, `unknown "{{}}"`},
		{`{{.N}}{{printf "%d" .N}}`, `unknown "{{printf \"%d\" .N}}"`},
	}
	for _, test := range tests {
		var out bytes.Buffer
		parsed, err := parseTemplate(test.text)
		if err == nil {
			err = expand(parsed, &out, 7)
		}
		switch {
		case err == nil && !regexp.MustCompile(test.want).Match(out.Bytes()):
			t.Errorf("%s: got %s", test.text, out.Bytes())
		case err == nil:
		case !errors.Is(err, console.ErrUsage) || err.Error() != "expanding the template: "+test.want || console.HintFor(err) == "":
			t.Errorf("%s: %v", test.text, err)
		}
	}
}

// A template of nothing but plain text is itself; any other is expanded or
// refused as the user's mistake.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"{{.N}}", "{{", "}}{{", "a{{ uuid }}b", "{{{.N}}}", "{{\x00}}", "{{now}}{{"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var out bytes.Buffer
		parsed, err := parseTemplate(text)
		if err == nil {
			err = expand(parsed, &out, 1)
		}
		if err != nil && !errors.Is(err, console.ErrUsage) {
			t.Fatal(err)
		}
		if !strings.Contains(text, "{{") && (err != nil || out.String() != text) {
			t.Fatalf("%q became %q, %v", text, out.String(), err)
		}
		if err == nil && strings.Contains(text, "{{.N}}") && strings.Count(text, "{{") == 1 && out.String() != strings.Replace(text, "{{.N}}", "1", 1) {
			t.Fatalf("%q became %q", text, out.String())
		}
	})
}

func TestTemplateNumbersEvents(t *testing.T) {
	t.Parallel()
	src := &Templated{Source: &Repeated{data: []byte("{{.N}}"), Left: 2}}
	for _, want := range []string{"1", "2"} {
		if data, _, err := src.Next(); err != nil || string(data) != want {
			t.Errorf("got %s, %v", data, err)
		}
	}
}

// Whatever stands on stdin: values that are JSON, then one end.
func FuzzValues(f *testing.F) {
	for _, s := range []string{"", "{}", "{}\n\n[1,\n2] 3", "{\"a\":", "oops", "{}{}x", "\"\xff\"", "\n\n\n1\n]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		src := NewValues(bytes.NewReader(input))
		for n := 0; ; n++ {
			data, line, err := src.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if line < 1 || line > 1+bytes.Count(input, []byte("\n")) {
				t.Fatalf("line %d", line)
			}
			if err != nil {
				if console.ExitCode(err) != console.ExitContract {
					t.Fatalf("exit code %d: %v", console.ExitCode(err), err)
				}
				return
			}
			if !json.Valid(data) || n > len(input) {
				t.Fatalf("value %d is %q", n, data)
			}
		}
	})
}
