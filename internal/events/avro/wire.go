package avro

import (
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"
)

func (r *valueReader) take(n int) ([]byte, bool) {
	if n > len(r.wire) {
		return nil, r.fail("ends too early: %d bytes must follow, there are %d", n, len(r.wire))
	}
	b := r.wire[:n]
	r.wire = r.wire[n:]
	return b, true
}

func (r *valueReader) long() (int64, bool) {
	v, n := binary.Varint(r.wire)
	switch {
	case n == 0:
		return 0, r.fail("ends too early: a number must follow")
	case n < 0:
		return 0, r.fail("is a number of more than 64 bits")
	}
	r.wire = r.wire[n:]
	return v, true
}

func (r *valueReader) counted() ([]byte, bool) {
	n, ok := r.long()
	switch {
	case !ok:
		return nil, false
	case n < 0:
		return nil, r.fail("is %d bytes long", n)
	case n > int64(len(r.wire)):
		return nil, r.fail("ends too early: %d bytes must follow, there are %d", n, len(r.wire))
	}
	return r.take(int(n))
}

func (r *valueReader) text() (string, bool) {
	b, ok := r.counted()
	if ok && !utf8.Valid(b) {
		return "", r.fail("is a string that is not UTF-8")
	}
	return string(b), ok
}

// block reads the number of items in a block; 0 ends an array or a map.
func (r *valueReader) block() (int64, bool) {
	n, ok := r.long()
	if !ok || n >= 0 {
		return n, ok
	}
	if n == math.MinInt64 {
		return 0, r.fail("is a block of %d items", n)
	}
	_, ok = r.long() // the block's size, which allows readers to skip it
	return -n, ok
}

// appendFloat appends the shortest number that parses to f.
func appendFloat(out []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(out, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(out, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(out, `"-Infinity"`...)
	}
	format := byte('f')
	if size := math.Abs(f); size != 0 && (size < 1e-6 || size >= 1e21) {
		format = 'e'
	}
	out = strconv.AppendFloat(out, f, format, -1, bits)
	if n := len(out); format == 'e' && out[n-4] == 'e' && out[n-2] == '0' { // e-09 becomes e-9, as in encoding/json
		out[n-2] = out[n-1]
		out = out[:n-1]
	}
	return out
}
