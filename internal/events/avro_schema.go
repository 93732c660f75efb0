package events

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// An avroSchema puts a schema together: a type of another file is defined
// where it is first used, and every name is written in full.
type avroSchema struct {
	files *avros
	out   []byte
	seen  map[string]*avroDefinition
	uses  map[*avroFile]map[*avroFile]bool
	depth int
}

// newAvroSchema returns the text of a schema that needs no other file.
func newAvroSchema(files *avros, f *avroFile, t *avroText, namespace string) (string, error) {
	s := &avroSchema{files: files, seen: map[string]*avroDefinition{}, uses: map[*avroFile]map[*avroFile]bool{}}
	err := s.schema(f, t, namespace)
	return string(s.out), err
}

func (s *avroSchema) schema(f *avroFile, t *avroText, namespace string) error {
	if s.depth++; s.depth > maxAvroDepth {
		return f.problem(t, "is nested more than %d deep", maxAvroDepth)
	}
	defer func() { s.depth-- }()
	switch {
	case t.kind == '"':
		return s.reference(f, t, namespace)
	case t.kind == '[':
		return s.list(t, func(member *avroText) error { return s.schema(f, member, namespace) })
	case f.defined[t] != nil:
		return s.definition(f.defined[t])
	case t.kind == '{':
		s.out = append(s.out, '{')
		for i, key := range t.keys {
			if key == "type" || key == "items" || key == "values" {
				s.key(key)
				if err := s.schema(f, t.values[i], namespace); err != nil {
					return err
				}
			} else {
				s.property(f, key, t.values[i])
			}
		}
		s.out = append(s.out, '}')
		return nil
	}
	s.raw(f, t)
	return nil
}

func (s *avroSchema) reference(f *avroFile, t *avroText, namespace string) error {
	if slices.Contains(avroWords, t.text) {
		s.raw(f, t)
		return nil
	}
	names := []string{t.text}
	if namespace != "" && !strings.Contains(t.text, ".") {
		names = []string{namespace + "." + t.text, t.text}
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
	problem := fmt.Sprintf("unknown type %q%s", t.text, hint(names[0], known))
	if broken != nil {
		problem += fmt.Sprintf("; a file could not be read: %v", broken)
	}
	return f.problem(t, "%s", problem)
}

// use notes that a file needs another, which must not need the first.
func (s *avroSchema) use(f *avroFile, d *avroDefinition, at *avroText) error {
	if d.file == f || s.uses[f][d.file] {
		return nil
	}
	var reaches func(from *avroFile, way []string) []string
	visited := map[*avroFile]bool{}
	reaches = func(from *avroFile, way []string) []string {
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
		s.uses[f] = map[*avroFile]bool{}
	}
	s.uses[f][d.file] = true
	return nil
}

func (s *avroSchema) definition(d *avroDefinition) error {
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
	for i, key := range d.text.keys {
		switch value := d.text.values[i]; {
		case key == "namespace":
		case key == "name":
			s.key(key)
			s.out = append(s.out, quotedName...)
			if !strings.Contains(d.name, ".") {
				s.key("namespace")
				s.out = append(s.out, `""`...)
			}
		case key == "fields" && value.kind == '[':
			s.key(key)
			if err := s.list(value, func(field *avroText) error { return s.field(d, field) }); err != nil {
				return err
			}
		default:
			s.property(d.file, key, value)
		}
	}
	s.out = append(s.out, '}')
	return nil
}

func (s *avroSchema) field(d *avroDefinition, field *avroText) error {
	if field.kind != '{' {
		s.raw(d.file, field)
		return nil
	}
	s.out = append(s.out, '{')
	for i, key := range field.keys {
		if key != "type" {
			s.property(d.file, key, field.values[i])
			continue
		}
		s.key(key)
		if err := s.schema(d.file, field.values[i], d.namespace); err != nil {
			return err
		}
	}
	s.out = append(s.out, '}')
	return nil
}

func (s *avroSchema) list(t *avroText, each func(*avroText) error) error {
	s.out = append(s.out, '[')
	for i, member := range t.values {
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

func (s *avroSchema) key(name string) {
	if s.out[len(s.out)-1] != '{' {
		s.out = append(s.out, ',')
	}
	s.out = append(appendJSONString(s.out, name), ':')
}

func (s *avroSchema) property(f *avroFile, key string, value *avroText) {
	s.key(key)
	s.raw(f, value)
}

func (s *avroSchema) raw(f *avroFile, t *avroText) {
	s.out = append(s.out, f.data[t.begin:t.end]...)
}
