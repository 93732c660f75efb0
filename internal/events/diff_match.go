package events

import (
	"cmp"
	"fmt"
	"slices"

	"nats-test/internal/events/contract"
)

// A pair is a field, enum value or union variant in both versions of a contract.
// One of the two is nil for an addition or a removal.
type pair[T any] struct {
	before, after *T
	owner         string // the previous owner of after's number, if different from before
}

// match pairs before and after by name, and the rest by number, if they have
// numbers. It keeps the order of before, followed by additions.
func match[T any](before, after []T, numbered bool, key func(T) (name string, number int)) []pair[T] {
	named, pairs := make(map[string]*T), make([]pair[T], len(before))
	for i := range after {
		name, _ := key(after[i])
		named[name] = &after[i]
	}
	found, owners, left := make(map[*T]bool), make(map[int]string), make(map[int]int)
	for i := range before {
		name, number := key(before[i])
		a := named[name]
		pairs[i] = pair[T]{before: &before[i], after: a}
		found[a] = true
		if a == nil {
			left[number] = i
		}
		if a == nil || number != second(key(*a)) {
			owners[number] = name
		}
	}
	for i := range after {
		a := &after[i]
		number := second(key(*a))
		switch p, ok := left[number]; {
		case found[a]:
		case numbered && ok:
			pairs[p].after = a
			delete(left, number)
		default:
			pairs = append(pairs, pair[T]{after: a})
		}
	}
	for i, p := range pairs {
		if !numbered || p.after == nil {
			continue
		}
		name, number := key(*p.after)
		if p.before != nil {
			if was, at := key(*p.before); was == name && at == number {
				continue
			}
		}
		if owner := owners[number]; owner != name {
			pairs[i].owner = owner
		}
	}
	return pairs
}

func second(_ string, number int) int { return number }

// reads reports whether a reader of one kind certainly reads every value written as
// another, in this format.
func (d *comparison) reads(reader, writer string) bool {
	return reader == writer || reader == contract.Any || d.rules.Reads(reader, writer)
}

// takes reports whether one of the variants reads data written as another.
func (d *comparison) takes(variants []contract.Variant, written *contract.Variant) bool {
	return slices.ContainsFunc(variants, func(v contract.Variant) bool {
		reader, writer := kindIn(v.Shape), kindIn(written.Shape)
		return reader != writer && d.reads(reader, writer)
	})
}

// among returns the variants of s. If s is not a union, the result is s alone,
// named like the variant of its kind in other.
func among(s, other *contract.Shape) []contract.Variant {
	if s.Kind == contract.Union {
		return s.Variants
	}
	name := ""
	if i := slices.IndexFunc(other.Variants, func(v contract.Variant) bool { return kindIn(v.Shape) == s.Kind }); i >= 0 {
		name = other.Variants[i].Name
	}
	return []contract.Variant{{Name: name, Shape: s}}
}

// distinct names unnamed variants after their kind, numbered from the second on.
func distinct(variants []contract.Variant) []contract.Variant {
	times := make(map[string]int)
	named := slices.Clone(variants)
	for i := range named {
		v := &named[i]
		v.Name = cmp.Or(v.Name, kindIn(v.Shape))
		if times[v.Name]++; times[v.Name] > 1 {
			v.Name = fmt.Sprintf("%s %d", v.Name, times[v.Name])
		}
	}
	return named
}
