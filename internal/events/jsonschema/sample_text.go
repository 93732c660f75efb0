package jsonschema

import (
	"encoding/json"
	"fmt"
	"iter"
	"math/big"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"nats-test/third_party/jsonschema"
)

const longestText = 100_000

// sampleTexts yields strings for a field, by its format, pattern or name, of a
// valid length.
func sampleTexts(all []*jsonschema.Schema, name string, nth int) iter.Seq[string] {
	least, most := 0, longestText
	var patterns, formats []string
	for _, s := range all {
		if s.MinLength != nil {
			least = max(least, *s.MinLength)
		}
		if s.MaxLength != nil {
			most = min(most, *s.MaxLength)
		}
		if s.Pattern != nil {
			patterns = append(patterns, s.Pattern.String())
		}
		if s.Format != nil {
			formats = append(formats, s.Format.Name)
		}
	}
	return func(yield func(string) bool) {
		if least > longestText {
			return
		}
		plain := textFor(name, nth)
		for _, f := range formats {
			for _, text := range formatTexts(f, nth) {
				if !yield(text) || !yield(cut(text, most)) {
					return
				}
			}
		}
		for _, p := range patterns {
			for text := range patternTexts(p, least, nth) {
				if !yield(text) {
					return
				}
			}
		}
		for _, text := range []string{plain, cut(pad(plain, least), most), cut(pad(fmt.Sprint(nth), least), most), ""} {
			if !yield(text) {
				return
			}
		}
	}
}

// textFor returns a plausible string for a field of that name.
func textFor(name string, nth int) string {
	lower := strings.ToLower(name)
	switch {
	case name == "":
		name = "text"
	case lower == "id":
		return fmt.Sprintf("id-%d", nth+1)
	case strings.HasSuffix(name, "Id"), strings.HasSuffix(name, "ID"):
		return fmt.Sprintf("%s-%d", strings.ToLower(name[:len(name)-2]), nth+1)
	case strings.HasSuffix(lower, "_id"), strings.HasSuffix(lower, "-id"):
		return fmt.Sprintf("%s-%d", lower[:len(lower)-3], nth+1)
	}
	if nth > 0 {
		return fmt.Sprintf("%s-%d", name, nth+1)
	}
	return name
}

func pad(text string, length int) string {
	if n := length - utf8.RuneCountInString(text); n > 0 {
		return text + strings.Repeat("x", n)
	}
	return text
}

func cut(text string, length int) string {
	if runes := []rune(text); len(runes) > length {
		return string(runes[:max(0, length)])
	}
	return text
}

func formatTexts(format string, nth int) []string {
	n := nth + 1
	day := fmt.Sprintf("%04d-01-%02d", 2030+nth/27%1000, 2+nth%27)
	switch format {
	case "date-time":
		return []string{day + "T03:04:05Z"}
	case "date":
		return []string{day}
	case "time":
		return []string{fmt.Sprintf("03:04:%02dZ", (4+n)%60)}
	case "duration":
		return []string{fmt.Sprintf("PT%dH", n), fmt.Sprintf("P%dD", n)}
	case "period":
		return []string{day + "T03:04:05Z/PT1H"}
	case "email":
		return []string{fmt.Sprintf("user-%d@example.com", n), "a@b.de"}
	case "uuid":
		return []string{fmt.Sprintf("123e4567-e89b-42d3-a456-%012x", n)}
	case "uri", "iri", "uri-reference", "iri-reference":
		return []string{fmt.Sprintf("https://example.com/%d", n), "a:b"}
	case "uri-template":
		return []string{fmt.Sprintf("https://example.com/%d/{id}", n)}
	case "ipv4":
		return []string{fmt.Sprintf("192.0.2.%d", n%256)}
	case "ipv6":
		return []string{fmt.Sprintf("2001:db8::%x", n%65536)}
	case "hostname":
		return []string{fmt.Sprintf("host-%d.example.com", n)}
	case "json-pointer":
		return []string{fmt.Sprintf("/%d", n)}
	case "relative-json-pointer":
		return []string{fmt.Sprintf("%d", n)}
	case "regex":
		return []string{fmt.Sprintf("^[a-z]{%d}$", n%1000)}
	case "semver":
		return []string{fmt.Sprintf("1.0.%d", nth)}
	}
	return nil
}

// patternTexts yields texts that match a pattern, found by walking through it:
// first with few repetitions, then with more.
func patternTexts(pattern string, least, nth int) iter.Seq[string] {
	return func(yield func(string) bool) {
		tree, err := syntax.Parse(pattern, syntax.Perl)
		if err != nil {
			return
		}
		for _, extra := range []int{1, 0, 3, max(0, least-1), least, least / 2} {
			g := &generator{extra: extra, nth: nth, left: longestText}
			if text, ok := g.generate(tree); ok && !yield(text) {
				return
			}
		}
	}
}

type generator struct {
	extra int // repetitions, if a pattern allows any number
	nth   int
	left  int
}

func (g *generator) generate(r *syntax.Regexp) (string, bool) {
	if g.left--; g.left < 0 {
		return "", false
	}
	switch r.Op {
	case syntax.OpNoMatch:
		return "", false
	case syntax.OpLiteral:
		return string(r.Rune), true
	case syntax.OpCharClass:
		return g.oneOf(r.Rune)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return string(rune('a' + g.nth%26)), true
	case syntax.OpCapture:
		return g.generate(r.Sub[0])
	case syntax.OpStar:
		return g.repeat(r.Sub[0], g.extra)
	case syntax.OpPlus:
		return g.repeat(r.Sub[0], max(1, g.extra))
	case syntax.OpQuest:
		return g.repeat(r.Sub[0], min(1, g.extra))
	case syntax.OpRepeat:
		times := max(r.Min, g.extra)
		if r.Max >= 0 {
			times = min(times, r.Max)
		}
		return g.repeat(r.Sub[0], times)
	case syntax.OpAlternate:
		for i := range r.Sub {
			if text, ok := g.generate(r.Sub[(i+g.nth)%len(r.Sub)]); ok {
				return text, true
			}
		}
		return "", false
	case syntax.OpConcat:
		var b strings.Builder
		for _, sub := range r.Sub {
			text, ok := g.generate(sub)
			if !ok {
				return "", false
			}
			b.WriteString(text)
		}
		return b.String(), true
	}
	return "", true // assertions about the place between characters
}

func (g *generator) repeat(r *syntax.Regexp, times int) (string, bool) {
	var b strings.Builder
	for range times {
		text, ok := g.generate(r)
		if !ok || b.Len() > longestText {
			return "", false
		}
		b.WriteString(text)
	}
	return b.String(), true
}

// oneOf returns a character of a class, a plain one if possible.
func (g *generator) oneOf(ranges []rune) (string, bool) {
	var plain []rune
	for i := 0; i+1 < len(ranges); i += 2 {
		for c := max(' ', ranges[i]); c <= min('~', ranges[i+1]); c++ {
			plain = append(plain, c)
		}
	}
	letters := slices.DeleteFunc(slices.Clone(plain), func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) })
	switch {
	case len(letters) > 0:
		return string(letters[g.nth%len(letters)]), true
	case len(plain) > 0:
		return string(plain[g.nth%len(plain)]), true
	case len(ranges) > 1:
		return string(ranges[0]), true
	}
	return "", false
}

// sampleNumbers returns numbers near the bounds of the schemas, plain ones first.
func sampleNumbers(all []*jsonschema.Schema, t string, nth int) []any {
	one := big.NewRat(1, 1)
	step := one
	near := []*big.Rat{big.NewRat(int64(nth+1), 1), new(big.Rat)}
	if t == "number" {
		near = slices.Insert(near, 0, big.NewRat(int64(2*nth+3), 2))
	}
	for _, s := range all {
		if s.MultipleOf != nil {
			if step.Cmp(one) == 0 {
				step = s.MultipleOf
			} else { // of both, if both are integers
				step = new(big.Rat).Mul(step, s.MultipleOf)
			}
		}
	}
	for _, s := range all {
		for _, bound := range []*big.Rat{s.Minimum, s.ExclusiveMinimum, s.Maximum, s.ExclusiveMaximum} {
			if bound == nil {
				continue
			}
			away := new(big.Rat).Mul(step, big.NewRat(int64(nth), 1))
			if bound == s.Maximum || bound == s.ExclusiveMaximum {
				away.Neg(away)
			}
			near = append(near, new(big.Rat).Add(bound, away), bound)
			for _, other := range []*big.Rat{s.Maximum, s.ExclusiveMaximum} {
				if other != nil {
					middle := new(big.Rat).Add(bound, other)
					near = append(near, middle.Mul(middle, big.NewRat(1, 2)))
				}
			}
		}
	}
	var values []any
	add := func(r *big.Rat) {
		digits, exact := r.FloatPrec()
		if text := r.FloatString(digits); exact && !slices.Contains(values, any(json.Number(text))) {
			values = append(values, json.Number(text))
		}
	}
	for _, r := range near {
		add(r)
		// The nearest multiples.
		quotient := new(big.Rat).Quo(r, step)
		whole := new(big.Int).Div(quotient.Num(), quotient.Denom())
		for _, d := range []int64{0, 1, -1} {
			n := new(big.Rat).SetInt(new(big.Int).Add(whole, big.NewInt(d)))
			add(n.Mul(n, step))
		}
	}
	return values
}
