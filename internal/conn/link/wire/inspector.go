package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"nats-test/internal/conn/broker"
)

// An inspector checks the protocol lines of a server before nats.go reads them. The
// parser of nats.go panics on sizes beyond an int, allocates any announced size, and
// buffers lines of any length. The inspector passes only lines in the form that
// servers send, where both parsers agree on the end. It is used by one goroutine.
type inspector struct {
	most    int    // maximum size of a message in bytes; 0 until the greeting was read
	line    []byte // beginning of an incomplete line
	payload int    // remaining bytes of a message
	tail    int    // remaining bytes of the line end after it
	lines   *rate.Limiter
	infos   *rate.Limiter
}

const (
	// maxLine is the maximum length of lines other than INFO, in bytes. A subject has
	// at most 4096 unless max_control_line was raised.
	maxLine = 64 << 10
	// mostPayload is the highest max_payload that is believed: nats-server limits it to
	// max_pending, which is 64 MiB by default. Messages may be larger than max_payload
	// by a factor of payloadMargin: other servers of a cluster may allow more, and this
	// one may have before its configuration changed.
	mostPayload   = 64 << 20
	payloadMargin = 8
	// leastPayload is the size that is always allowed: stored events, and those of other
	// servers in a cluster, don't depend on this server's configuration.
	leastPayload = 8 << 20
	// headerMargin allows for a message's headers, and for those added by a broker.
	headerMargin = 1 << 20
	// mostServers is the maximum number of advertised addresses.
	mostServers = 4096
	// floodLines is the maximum number of lines per second other than messages. A
	// publisher without permission gets an -ERR for each event in flight.
	floodLines = 1 << 16
	// floodInfo is the maximum burst of INFO, in bytes; floodInfo/64 is allowed per
	// second. nats.go keeps every address in it.
	floodInfo = 1 << 20
)

func newInspector() *inspector {
	return &inspector{
		lines: rate.NewLimiter(floodLines, floodLines),
		infos: rate.NewLimiter(floodInfo/64, floodInfo),
	}
}

// check parses p, which follows the bytes of the call before, and returns how many of
// them nats.go may read. The error wraps [broker.ErrGarbled], or is errGreeting.
func (g *inspector) check(p []byte) (good int, err error) {
	for rest := p; len(rest) > 0; good = len(p) - len(rest) {
		if g.payload > 0 {
			n := min(g.payload, len(rest))
			g.payload -= n
			rest = rest[n:]
			continue
		}
		if g.tail > 0 {
			if want := "\n\r"[g.tail-1]; rest[0] != want {
				return good, garbled(rest, "a message is longer than announced")
			}
			g.tail--
			rest = rest[1:]
			continue
		}
		n := bytes.IndexByte(rest, '\n') + 1
		line := rest[:n]
		if n == 0 {
			line = rest
		}
		if len(g.line) > 0 || n == 0 {
			if err := g.fits(len(g.line)+len(line), line); err != nil {
				return good, err
			}
			g.line = append(g.line, line...)
			line = g.line
		}
		if n == 0 {
			if g.most > 0 && !begins(line) {
				return good, garbled(line, "not a line of the NATS protocol")
			}
			return len(p), nil
		}
		if err := g.fits(len(line), line); err != nil {
			return good, err
		}
		if err := g.take(line); err != nil {
			return good, err
		}
		g.line = g.line[:0]
		rest = rest[n:]
	}
	return len(p), nil
}

// fits returns an error if a line of that length, of which part is known, is too long.
func (g *inspector) fits(length int, part []byte) error {
	begin := part
	if len(g.line) > 0 {
		begin = g.line
	}
	switch {
	case g.most == 0 && length > maxGreeting:
		return errGreeting
	case g.most > 0 && length > maxLine && (length > maxGreeting || !isInfo(begin)):
		return garbled(begin, "a line of more than %d bytes", maxLine)
	}
	return nil
}

// verbs are the operations that a server sends.
var verbs = [...]string{"+OK", "-ERR ", "HMSG ", "INFO ", "MSG ", "PING", "PONG"}

// begins reports whether part may be the beginning of a line. (nats.go accepts
// lower-case verbs, too, but no server sends them.)
func begins(part []byte) bool {
	for _, verb := range verbs {
		if n := min(len(verb), len(part)); verb[:n] == string(part[:n]) {
			return true
		}
	}
	return false
}

func isInfo(line []byte) bool {
	return len(line) > len("INFO ") && bytes.HasPrefix(line, []byte("INFO "))
}

// take checks a complete line, with its line end.
func (g *inspector) take(line []byte) error {
	if g.most == 0 { // nats.go refuses anything but INFO
		g.most = mostPayload
		if isInfo(line) {
			return g.announced(line)
		}
		return nil
	}
	switch {
	case bytes.HasPrefix(line, []byte("MSG ")):
		return g.message(line, line[len("MSG "):], false)
	case bytes.HasPrefix(line, []byte("HMSG ")):
		return g.message(line, line[len("HMSG "):], true)
	}
	switch text := bytes.TrimRight(line, " \t\r\n"); {
	case !g.lines.Allow():
		return garbled(line, "more than %d such lines in a second", floodLines)
	case isInfo(text):
		return g.announced(text)
	case len(text) > len("-ERR ") && bytes.HasPrefix(text, []byte("-ERR ")),
		bytes.Equal(text, []byte("PING")), bytes.Equal(text, []byte("PONG")), bytes.Equal(text, []byte("+OK")):
		return nil
	}
	return garbled(line, "not a line of the NATS protocol")
}

// message parses the arguments of MSG (subject, subscription ID, optional reply, size)
// or HMSG (with the size of the headers before the total size). It accepts only single
// spaces as separators, though nats.go also splits at tabs and carriage returns.
func (g *inspector) message(line, args []byte, headers bool) error {
	args, ok := bytes.CutSuffix(args, []byte("\r\n"))
	spaces, least := bytes.Count(args, []byte(" ")), 2
	if headers {
		least = 3
	}
	if !ok || spaces != least && spaces != least+1 || bytes.IndexByte(args, '\t') >= 0 || bytes.IndexByte(args, '\r') >= 0 {
		return garbled(line, "no message")
	}
	first, last := bytes.IndexByte(args, ' '), bytes.LastIndexByte(args, ' ')
	sid, _, _ := bytes.Cut(args[first+1:], []byte(" "))
	if _, ok := number(sid); !ok || first == 0 {
		return garbled(line, "no subscription")
	}
	size, ok := number(args[last+1:])
	if !ok || size > g.most {
		return garbled(line, "a message of more than %d bytes", g.most)
	}
	if headers {
		begin := bytes.LastIndexByte(args[:last], ' ')
		if n, ok := number(args[begin+1 : last]); !ok || n > size {
			return garbled(line, "headers that are longer than the message")
		}
	}
	g.payload, g.tail = size, len("\r\n")
	return nil
}

// number parses at most 9 digits: no size has more, and subscription IDs are those that
// this client assigned.
func number(digits []byte) (n int, ok bool) {
	if len(digits) == 0 || len(digits) > 9 {
		return 0, false
	}
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + int(d-'0')
	}
	return n, true
}

// announced takes the maximum size of a message from an INFO. Malformed JSON changes
// nothing, as in nats.go.
func (g *inspector) announced(line []byte) error {
	var said struct {
		MaxPayload int64     `json:"max_payload"`
		Servers    addresses `json:"connect_urls"`
	}
	if json.Unmarshal(line[len("INFO "):], &said) == nil {
		g.most = mostPayload
		if 0 < said.MaxPayload && said.MaxPayload < mostPayload/payloadMargin {
			g.most = max(leastPayload, int(said.MaxPayload)*payloadMargin)
		}
		g.most += headerMargin
	}
	if said.Servers > mostServers {
		return garbled(line, "more than %d servers", mostServers)
	}
	if !g.infos.AllowN(time.Now(), min(floodInfo, len(line)+64*int(said.Servers))) {
		return garbled(line, "too many such lines")
	}
	return nil
}

// addresses counts the elements of a list.
type addresses int

func (a *addresses) UnmarshalJSON(list []byte) error {
	*a = addresses(bytes.Count(list, []byte(",")) + 1)
	return nil
}

// garbled returns the error for a line that violates the protocol.
func garbled(line []byte, format string, args ...any) error {
	said := broker.Clip(strings.TrimRight(string(line[:min(len(line), maxLine)]), "\r\n"))
	return broker.Because(broker.ErrGarbled, fmt.Errorf("%s: it says %s", fmt.Sprintf(format, args...), said))
}
