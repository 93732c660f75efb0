package wire

import (
	"bytes"
	"encoding/binary"
)

// A checker reads what comes from a server before the library does, and
// returns how much of it may be read. It keeps nothing of p.
type checker interface {
	check(p []byte) (good int, err error)
}

// A frameGuard reads a WebSocket: the head of an HTTP response, of which
// net/http would read any amount, and then frames, for an [inspector]. The size of a
// frame is bounded by nats.go; but it would expand a compressed one, which
// nobody asked for, to any size.
type frameGuard struct {
	guard  *inspector
	read   int      // bytes of the response
	line   int      // and of the line of it that has not ended
	latest byte     // of that line
	status []byte   // the begin of its first line
	opened bool     // the response has ended
	denied bool     // it opens no WebSocket: nats.go reads no frame
	header [10]byte // of a frame
	have   int      // bytes of it
	left   uint64   // bytes of the frame that have not come
	talk   bool     // it is one of control: nats.go answers it
}

// maxResponse bounds the head of an HTTP response, in bytes.
const maxResponse = 64 << 10

// maxFrame bounds a frame, as nats.go does where max_payload is large.
const maxFrame = 64 << 20

func newFrameGuard() *frameGuard { return &frameGuard{guard: newInspector()} }

func (f *frameGuard) check(p []byte) (good int, err error) {
	for rest := p; len(rest) > 0; good = len(p) - len(rest) {
		switch {
		case f.denied:
			return len(p), nil
		case !f.opened:
			n, err := f.response(rest)
			if err != nil {
				return good, err
			}
			rest = rest[n:]
		case f.left > 0:
			n := int(min(f.left, uint64(len(rest))))
			if !f.talk {
				if _, err := f.guard.check(rest[:n]); err != nil {
					return good, err
				}
			}
			f.left -= uint64(n)
			rest = rest[n:]
		default:
			f.header[f.have] = rest[0]
			f.have++
			rest = rest[1:]
			if err := f.frame(); err != nil {
				return good, err
			}
		}
	}
	return len(p), nil
}

// response reads on to the empty line that ends it, or to the end of p.
func (f *frameGuard) response(p []byte) (int, error) {
	for i, b := range p {
		if f.read++; f.read > maxResponse {
			return 0, garbled(p, "an HTTP response of more than %d bytes", maxResponse)
		}
		if f.read <= len("HTTP/1.1 101") {
			f.status = append(f.status, b)
		}
		switch {
		case b != '\n':
			f.line, f.latest = f.line+1, b
		case f.line == 0, f.line == 1 && f.latest == '\r':
			f.opened, f.denied = true, !bytes.HasSuffix(f.status, []byte(" 101"))
			return i + 1, nil
		default:
			f.line = 0
		}
	}
	return len(p), nil
}

// frame judges what has come of a frame's header.
func (f *frameGuard) frame() error {
	const compressed, reserved, masked = 0x40, 0x30, 0x80
	h := f.header[:f.have]
	if f.have < 2 {
		return nil
	}
	f.talk = h[0]&0x08 != 0
	switch short := h[1] & 0x7f; {
	case h[0]&(compressed|reserved) != 0, h[1]&masked != 0:
		return garbled(h, "a WebSocket frame that was not asked for")
	case short == 127 && f.have < 10, short == 126 && f.have < 4:
		return nil
	case short == 127:
		f.left = binary.BigEndian.Uint64(h[2:])
	case short == 126:
		f.left = uint64(binary.BigEndian.Uint16(h[2:]))
	default:
		f.left = uint64(short)
	}
	if f.talk && !f.guard.lines.Allow() {
		return garbled(h, "more than %d WebSocket control frames in a second", floodLines)
	}
	if f.left > maxFrame {
		return garbled(h, "a WebSocket frame of more than %d bytes", maxFrame)
	}
	f.have = 0
	return nil
}
