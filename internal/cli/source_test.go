package cli

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
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
		case !errors.Is(err, errUsage) || err.Error() != "expanding the template: "+test.want || hintFor(err) == "":
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
		if err != nil && !errors.Is(err, errUsage) {
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
	src := &templated{source: &repeated{data: []byte("{{.N}}"), left: 2}}
	for _, want := range []string{"1", "2"} {
		if data, _, err := src.next(); err != nil || string(data) != want {
			t.Errorf("got %s, %v", data, err)
		}
	}
}
