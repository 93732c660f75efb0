package wire

import (
	"bytes"
	"encoding/binary"
)

// A checker inspects bytes from a server before the library reads them, and returns
// how many of them may be read. It must not keep p.
type checker interface {
	check(p []byte) (good int, err error)
}

// A frameGuard checks a WebSocket: the head of the HTTP response, which net/http would
// read at any length, and the frames, whose payload goes to an [inspector]. nats.go
// limits the size of a frame, but would decompress a compressed one, which is never
// asked for, to any size.
type frameGuard struct {
	guard  *inspector
	read   int      // bytes of the response so far
	line   int      // bytes of its current line
	latest byte     // last byte of that line
	status []byte   // beginning of its first line
	opened bool     // the response has ended
	denied bool     // the response opens no WebSocket, so nats.go reads no frame
	header [10]byte // header of the current frame
	have   int      // bytes of it so far
	left   uint64   // remaining bytes of the frame's payload
	talk   bool     // it is a control frame, which nats.go answers
}

// maxResponse is the maximum size of an HTTP response's head, in bytes.
const maxResponse = 64 << 10

// maxFrame is the maximum size of a frame, in bytes; nats.go has the same limit where
// max_payload is large.
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

// response reads p up to the empty line that ends the response's head.
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

// frame parses a frame's header as far as it has arrived.
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
