// This file was changed: it was added, see the README of the folder above.

package jsonschema

import (
	"cmp"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"nats-test/third_party/jsonschema/kind"
)

// This file is not part of the release.

// A Budget bounds what one validation costs. A nil one bounds nothing.
type Budget struct {
	// Steps are those left. A step is what it takes to ask a schema of a
	// value, or some 16 bytes of memory that is held.
	Steps int

	// MaxErrors is how many errors are noted. The validation ends there; each
	// alternative of an "anyOf" or "oneOf" has as many of its own. With 0,
	// there is a verdict alone: the error says nothing.
	MaxErrors int

	// Tolerant validations don't mind fields that a closed object does not
	// know, where it alone refuses them. It needs a MaxErrors of 0.
	Tolerant bool

	errors int          // that were noted
	spare  []*validator // to be used again
}

// ErrBudget says that a validation would cost more than its budget.
var ErrBudget = errors.New("too costly to check")

// ValidateWithin is Validate within a budget. The error is [ErrBudget] if it
// does not suffice, else nil or a [*ValidationError].
func (sch *Schema) ValidateWithin(v any, b *Budget) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if p != any(ErrBudget) {
				panic(p)
			}
			err = ErrBudget
		}
	}()
	return sch.validateAs(v, nil, nil, nil, false, nil, &validator{boolResult: b.MaxErrors == 0, budget: b, tolerant: b.Tolerant})
}

func (b *Budget) spend(steps int) {
	if b == nil {
		return
	}
	if b.Steps -= steps; b.Steps < 0 {
		panic(ErrBudget)
	}
}

// Full reports whether there may be more errors than were noted.
func (b *Budget) Full() bool { return b.errors >= b.MaxErrors }

// note counts an error, and spends what it takes.
func (b *Budget) note(k ErrorKind, location []string) {
	if b == nil {
		return
	}
	b.spend(8 + len(location))
	switch k := k.(type) {
	case *kind.Group, *kind.Reference, *kind.AllOf: // their causes count
	case *kind.AdditionalProperties:
		b.errors += len(k.Properties)
	case *kind.Required:
		b.errors += len(k.Missing)
	default:
		b.errors++
	}
}

func (b *Budget) spendOnText(v any) {
	if text, ok := v.(string); ok {
		b.spend(len(text) / 64)
	}
}

// A costlyRegexp knows the size of its program.
type costlyRegexp interface{ Size() int }

func (b *Budget) spendOnPattern(r Regexp, text string) {
	if b == nil {
		return
	}
	size := 16
	if c, ok := r.(costlyRegexp); ok {
		size = c.Size()
	}
	b.spend(1 + (len(text)+16)*size/256)
}

func (b *Budget) spendOnNumber(v any) {
	if _, plain := plainInt(v); !plain {
		b.spend(weightOf(v))
	}
}

// plainValues says where the strings and the whole numbers of an enum stand.
func plainValues(values []any) map[any]int {
	plain := map[any]int{}
	for i, v := range values {
		if text, ok := v.(string); ok {
			plain[text] = i
		} else if n, ok := plainInt(v); ok {
			plain[n] = i
		}
	}
	return plain
}

// likely returns the values of an enum that v may be.
func (e *Enum) likely(v any) []any {
	i, found := -1, false
	if text, ok := v.(string); ok {
		if i, found = e.plain[text]; !found {
			return nil
		}
	} else if n, ok := plainInt(v); ok {
		i, found = e.plain[n]
	}
	if found {
		return e.Values[i : i+1]
	}
	return e.Values
}

func (b *Budget) isInteger(v any) bool {
	if _, plain := plainInt(v); plain {
		return true
	}
	b.spend(weightOf(v))
	return isInteger(v)
}

// weightOf returns the steps that it takes to look at all of v.
func weightOf(v any) int {
	weight := 1
	switch v := v.(type) {
	case map[string]any:
		for name, item := range v {
			weight += len(name)/64 + weightOf(item)
		}
	case []any:
		for _, item := range v {
			weight += weightOf(item)
		}
	case string:
		weight += len(v) / 64
	case json.Number:
		weight += len(v) / 16
		if i := strings.IndexAny(string(v), "eE"); i >= 0 {
			exponent, _ := strconv.Atoi(string(v[i+1:])) // 1e999 has a thousand digits
			weight += max(exponent, -exponent) / 24
		}
	}
	return weight
}

const maxPlain = 1e17

// plainInt returns the value of a number that is written in digits alone.
func plainInt(v any) (n int64, ok bool) {
	number, ok := v.(json.Number)
	digits := strings.TrimPrefix(string(number), "-")
	if !ok || digits == "" || len(digits) > 17 {
		return 0, false
	}
	for i := range len(digits) {
		c := digits[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	if len(digits) < len(number) {
		n = -n
	}
	return n, true
}

var errMismatch = &ValidationError{}

// mismatch reports whether a value can't be valid, as its type alone shows. It
// spares those who want a verdict a validator.
func (vd *validator) mismatch(sch *Schema, v any) bool {
	if !vd.boolResult || vd.budget == nil || sch.Bool != nil || sch.Types == nil || sch.Types.IsEmpty() {
		return false
	}
	t := typeOf(v)
	if sch.Types.contains(t) || t == numberType && sch.Types.contains(integerType) {
		return false
	}
	vd.budget.spend(1)
	return true
}

// itoa returns an item's name in the location of its errors.
func (vd *validator) itoa(i int) string {
	if vd.boolResult && vd.budget != nil {
		return ""
	}
	return strconv.Itoa(i)
}

// enough reports whether no more errors need be found.
func (vd *validator) enough() bool {
	if vd.boolResult {
		return len(vd.errors) > 0
	}
	return vd.budget != nil && vd.budget.Full()
}

// enoughOf reports whether so many names suffice for an error.
func (vd *validator) enoughOf(names int) bool {
	return vd.boolResult || vd.budget != nil && names >= vd.budget.MaxErrors
}

// sorted yields a map's entries; in order, if it matters which errors are found.
func sorted[K cmp.Ordered, V any](vd *validator, m map[K]V) iter.Seq2[K, V] {
	if vd.budget == nil || vd.boolResult {
		return maps.All(m)
	}
	return func(yield func(K, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if v, ok := m[k]; ok && !yield(k, v) {
				return
			}
		}
	}
}

// holds reports whether a schema that tells no errors accepts the value.
func (vd *validator) holds(sch *Schema) bool {
	defer func(before bool) { vd.tolerant = before }(vd.tolerant)
	vd.tolerant = false
	return vd.validateSelf(sch, "", true) == nil
}

// holdsFor is holds for an item of the value.
func (vd *validator) holdsFor(sch *Schema, v any, vtok string) bool {
	defer func(boolResult, tolerant bool) { vd.boolResult, vd.tolerant = boolResult, tolerant }(vd.boolResult, vd.tolerant)
	vd.boolResult, vd.tolerant = true, false
	return vd.validateVal(sch, v, vtok) == nil
}

// validateAlternative is validateSelf with errors that count for themselves.
func (vd *validator) validateAlternative(sch *Schema, boolResult bool) error {
	if vd.budget == nil {
		return vd.validateSelf(sch, "", boolResult)
	}
	defer func(errors int, alternative bool) {
		vd.budget.errors, vd.alternative = errors, alternative
	}(vd.budget.errors, vd.alternative)
	vd.budget.errors, vd.alternative = 0, true
	return vd.validateSelf(sch, "", boolResult)
}

// A telling has the names of the properties that tell alternatives apart.
type telling struct {
	constants []string // those with one value
	enums     []string // and with several
}

func (sch *Schema) telling() *telling {
	if t := sch.tells.Load(); t != nil {
		return t
	}
	t := &telling{}
	for _, name := range slices.Sorted(maps.Keys(sch.Properties)) {
		p := sch.Properties[name]
		for i := 0; i < 4 && p.Ref != nil; i++ {
			p = p.Ref
		}
		if p.Const != nil {
			t.constants = append(t.constants, name)
		} else if p.Enum != nil {
			t.enums = append(t.enums, name)
		}
	}
	sch.tells.Store(t)
	return t
}

// otherwise looks first at the properties that tell alternatives apart, and
// reports whether the rest needs no look: else contracts that refer to
// themselves in several alternatives would have each of them tried to the end.
func (vd *validator) otherwise(obj map[string]any) bool {
	if vd.budget == nil || !vd.boolResult && !vd.alternative {
		return false
	}
	t := vd.sch.telling()
	for _, names := range [][]string{t.constants, t.enums} {
		for _, name := range names {
			if v, ok := obj[name]; ok {
				vd.addErr(vd.validateVal(vd.sch.Properties[name], v, name))
			}
		}
		if len(vd.errors) > 0 && vd.boolResult {
			return true
		}
		if !vd.boolResult {
			break // all that is wrong with the one that was meant is told
		}
	}
	vd.ruledOut = len(vd.errors) > 0
	return vd.ruledOut
}

// strictlyFirst tries alternatives as they are, and only if none of them
// matches, with tolerance.
func (vd *validator) strictlyFirst(try func(last bool) (matched bool)) {
	if vd.tolerant {
		vd.tolerant = false
		matched := try(false)
		vd.tolerant = true
		if matched {
			return
		}
	}
	try(true)
}

// sub returns a validator with the interest of another one, for a schema that it
// asks of a value. Its scope is left to the caller, who releases it.
func (vd *validator) sub(sch *Schema, v any, vloc []string, needsUneval bool) *validator {
	var subvd *validator
	if b := vd.budget; b != nil && len(b.spare) > 0 {
		last := len(b.spare) - 1
		subvd, b.spare = b.spare[last], b.spare[:last]
	} else {
		subvd = new(validator)
	}
	*subvd = validator{
		v: v, vloc: vloc, sch: sch, ownUneval: unevalFrom(v, sch, needsUneval),
		boolResult: vd.boolResult, budget: vd.budget, tolerant: vd.tolerant,
		regexpEngine: vd.regexpEngine, meta: vd.meta, resources: vd.resources, assertVocabs: vd.assertVocabs, vocabularies: vd.vocabularies,
	}
	subvd.scp, subvd.uneval = &subvd.ownScope, &subvd.ownUneval
	return subvd
}

func (vd *validator) release() {
	const most = 64
	if b := vd.budget; b != nil && len(b.spare) < most {
		*vd = validator{}
		b.spare = append(b.spare, vd)
	}
}
