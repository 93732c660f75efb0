package avro

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"nats-test/internal/events/contract"
)

// An assembler puts a schema together: types of other files are inserted where they
// are first used, and all names are full names.
type assembler struct {
	files *compiler
	out   []byte
	seen  map[string]*definition
	uses  map[*sourceFile]map[*sourceFile]bool
	depth int
}

// assemble returns the text of a schema that is independent of other files.
func assemble(files *compiler, f *sourceFile, t *contract.Tree, namespace string) (string, error) {
	s := &assembler{files: files, seen: map[string]*definition{}, uses: map[*sourceFile]map[*sourceFile]bool{}}
	err := s.schema(f, t, namespace)
	return string(s.out), err
}

func (s *assembler) schema(f *sourceFile, t *contract.Tree, namespace string) error {
	if s.depth++; s.depth > maxDepth {
		return f.problem(t, "is nested more than %d deep", maxDepth)
	}
	defer func() { s.depth-- }()
	switch {
	case t.Kind == '"':
		return s.reference(f, t, namespace)
	case t.Kind == '[':
		return s.list(t, func(member *contract.Tree) error { return s.schema(f, member, namespace) })
	case f.defined[t] != nil:
		return s.definition(f.defined[t])
	case t.Kind == '{':
		s.out = append(s.out, '{')
		for i, key := range t.Keys {
			if key == "type" || key == "items" || key == "values" {
				s.key(key)
				if err := s.schema(f, t.Values[i], namespace); err != nil {
					return err
				}
			} else {
				s.property(f, key, t.Values[i])
			}
		}
		s.out = append(s.out, '}')
		return nil
	}
	s.raw(f, t)
	return nil
}

func (s *assembler) reference(f *sourceFile, t *contract.Tree, namespace string) error {
	if slices.Contains(reservedWords, t.Text) {
		s.raw(f, t)
		return nil
	}
	names := []string{t.Text}
	if namespace != "" && !strings.Contains(t.Text, ".") {
		names = []string{namespace + "." + t.Text, t.Text}
	}
	for _, name := range names {
		d, err := s.files.find(name, f)
		if err != nil {
			return err
		}
		if d != nil {
			if err := s.use(f, d, t); err != nil {
				return err
			}
			return s.definition(d)
		}
	}
	known, broken := s.files.names()
	problem := fmt.Sprintf("unknown type %q%s", t.Text, hint(names[0], known))
	if broken != nil {
		problem += fmt.Sprintf("; a file could not be read: %v", broken)
	}
	return f.problem(t, "%s", problem)
}

// use records that one file needs another, and refuses cycles.
func (s *assembler) use(f *sourceFile, d *definition, at *contract.Tree) error {
	if d.file == f || s.uses[f][d.file] {
		return nil
	}
	var reaches func(from *sourceFile, way []string) []string
	visited := map[*sourceFile]bool{}
	reaches = func(from *sourceFile, way []string) []string {
		way = append(way, from.name)
		if from == f {
			return way
		}
		visited[from] = true
		for next := range s.uses[from] {
			if !visited[next] {
				if found := reaches(next, way); found != nil {
					return found
				}
			}
		}
		return nil
	}
	if way := reaches(d.file, []string{f.name}); way != nil {
		return f.problem(at, "the files need each other in a circle: %s", strings.Join(way, ", "))
	}
	if s.uses[f] == nil {
		s.uses[f] = map[*sourceFile]bool{}
	}
	s.uses[f][d.file] = true
	return nil
}

func (s *assembler) definition(d *definition) error {
	quotedName, err := json.Marshal(d.name)
	if err != nil {
		return err
	}
	if before := s.seen[d.name]; before != nil {
		switch {
		case before.file == d.file && before != d:
			return d.problem("%q is defined twice", d.name)
		case !before.same(d):
			return d.problem("%q is defined differently in %s", d.name, before.file.name)
		}
		s.out = append(s.out, quotedName...)
		return nil
	}
	s.seen[d.name] = d
	s.out = append(s.out, '{')
	for i, key := range d.text.Keys {
		switch value := d.text.Values[i]; {
		case key == "namespace":
		case key == "name":
			s.key(key)
			s.out = append(s.out, quotedName...)
			if !strings.Contains(d.name, ".") {
				s.key("namespace")
				s.out = append(s.out, `""`...)
			}
		case key == "fields" && value.Kind == '[':
			s.key(key)
			if err := s.list(value, func(field *contract.Tree) error { return s.field(d, field) }); err != nil {
				return err
			}
		default:
			s.property(d.file, key, value)
		}
	}
	s.out = append(s.out, '}')
	return nil
}

func (s *assembler) field(d *definition, field *contract.Tree) error {
	if field.Kind != '{' {
		s.raw(d.file, field)
		return nil
	}
	s.out = append(s.out, '{')
	for i, key := range field.Keys {
		if key != "type" {
			s.property(d.file, key, field.Values[i])
			continue
		}
		s.key(key)
		if err := s.schema(d.file, field.Values[i], d.namespace); err != nil {
			return err
		}
	}
	s.out = append(s.out, '}')
	return nil
}

func (s *assembler) list(t *contract.Tree, each func(*contract.Tree) error) error {
	s.out = append(s.out, '[')
	for i, member := range t.Values {
		if i > 0 {
			s.out = append(s.out, ',')
		}
		if err := each(member); err != nil {
			return err
		}
	}
	s.out = append(s.out, ']')
	return nil
}

func (s *assembler) key(name string) {
	if s.out[len(s.out)-1] != '{' {
		s.out = append(s.out, ',')
	}
	s.out = append(contract.AppendJSONString(s.out, name), ':')
}

func (s *assembler) property(f *sourceFile, key string, value *contract.Tree) {
	s.key(key)
	s.raw(f, value)
}

func (s *assembler) raw(f *sourceFile, t *contract.Tree) {
	s.out = append(s.out, f.data[t.Begin:t.End]...)
}
