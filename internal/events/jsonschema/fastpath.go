package jsonschema

import "nats-test/internal/events/contract"

// recognise reports whether data is certainly valid, and whether it is compact:
// without white space between its parts.
//
// It only handles plain cases, in one pass and without allocations. Data that it
// does not recognise may still be valid: [rule.faults], about 20 times slower,
// decides.
func (r *rule) recognise(data []byte) (valid, compact bool) {
	s := recogniser{data: data, compact: true}
	s.space()
	valid = s.value(r)
	s.space()
	return valid && s.at == len(data), s.compact
}

type recogniser struct {
	data    []byte
	at      int
	compact bool
}

// next returns the next byte, 0 at the end.
func (s *recogniser) next() byte {
	if s.at < len(s.data) {
		return s.data[s.at]
	}
	return 0
}

func (s *recogniser) take(b byte) bool {
	if s.next() != b {
		return false
	}
	s.at++
	return true
}

func (s *recogniser) space() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
			s.compact = false
		default:
			return
		}
	}
}

func (s *recogniser) value(r *rule) bool {
	switch r.kind {
	case ruleObject:
		return s.object(r)
	case ruleNumber, ruleInteger:
		return s.number(r.kind == ruleNumber)
	}
	text, ok := s.text()
	if !ok {
		return false
	}
	switch r.kind {
	case ruleEnum:
		for _, v := range r.values {
			if string(text) == v {
				return true
			}
		}
		return false
	case ruleTime:
		return isTime(text)
	}
	return true
}

func (s *recogniser) object(r *rule) bool {
	if !s.take('{') {
		return false
	}
	var seen uint64
	for {
		s.space()
		name, ok := s.text()
		if !ok {
			return false
		}
		field := -1
		for i := range r.fields {
			if string(name) == r.fields[i].name {
				field = i
				break
			}
		}
		if field < 0 || seen&(1<<field) != 0 {
			return false
		}
		seen |= 1 << field
		s.space()
		if !s.take(':') {
			return false
		}
		s.space()
		if !s.value(r.fields[field].rule) {
			return false
		}
		s.space()
		if !s.take(',') {
			break
		}
	}
	return s.take('}') && seen&r.required == r.required
}

// text reads a string of printable ASCII without escapes.
func (s *recogniser) text() ([]byte, bool) {
	if !s.take('"') {
		return nil, false
	}
	begin := s.at
	for i, b := range s.data[begin:] {
		if b == '"' {
			s.at = begin + i + 1
			return s.data[begin : begin+i], true
		}
		if b < ' ' || b > '~' || b == '\\' {
			return nil, false
		}
	}
	return nil, false
}

// number reads a number without an exponent.
func (s *recogniser) number(fraction bool) bool {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return false
	}
	if fraction && s.take('.') {
		return s.digits()
	}
	return true // a comma or an end must follow; the caller checks it
}

func (s *recogniser) digits() bool {
	begin := s.at
	for contract.IsDigit(s.next()) {
		s.at++
	}
	return s.at > begin
}

// isTime recognises 2030-01-02T03:04:05.678Z: in UTC, on a day that every month
// has.
func isTime(text []byte) bool {
	const layout = "dddd-dd-ddTdd:dd:dd"
	if len(text) < len(layout)+1 || text[len(text)-1] != 'Z' {
		return false
	}
	for i := range len(layout) {
		if layout[i] == 'd' && !contract.IsDigit(text[i]) || layout[i] != 'd' && text[i] != layout[i] {
			return false
		}
	}
	two := func(i int) int { return int(text[i]-'0')*10 + int(text[i+1]-'0') }
	if m, d := two(5), two(8); m < 1 || m > 12 || d < 1 || d > 28 || two(11) > 23 || two(14) > 59 || two(17) > 59 {
		return false
	}
	fraction := text[len(layout) : len(text)-1]
	if len(fraction) == 0 {
		return true
	}
	for _, b := range fraction[1:] {
		if !contract.IsDigit(b) {
			return false
		}
	}
	return fraction[0] == '.' && len(fraction) > 1
}
