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

// An inspector reads what a server says before nats.go does, whose parser panics on
// sizes beyond an int, makes room for any size that is announced, and keeps a
// line of any length. Only what NATS says, in the form in which nats.go and the
// guard can't disagree on where it ends, passes. It has one reader.
type inspector struct {
	most    int    // bytes of a message; 0 until the greeting was read
	line    []byte // the begin of the line whose end has not come
	payload int    // bytes of a message that have not come
	tail    int    // bytes of the line end behind it that have not come
	lines   *rate.Limiter
	infos   *rate.Limiter
}

const (
	// maxLine bounds every line but the server's own description, in bytes. A
	// subject has 4096 at most, unless max_control_line was raised.
	maxLine = 64 << 10
	// mostPayload is what a server may announce as max_payload (nats-server
	// bounds it by max_pending, which is as much by default), and payloadMargin
	// how much larger a message may be: other servers of a cluster may take
	// more, and this one may have, before its configuration changed.
	mostPayload   = 64 << 20
	payloadMargin = 8
	// leastPayload is what any message may have: what is stored, and what another
	// server of a cluster takes, does not follow this one's configuration.
	leastPayload = 8 << 20
	// headerMargin is for a message's headers, and for what a broker adds.
	headerMargin = 1 << 20
	// mostServers is how many addresses of other servers one may tell of.
	mostServers = 4096
	// floodLines is how many lines beside messages may come in a second. A
	// publisher that lacks a permission gets one for each event in flight.
	floodLines = 1 << 16
	// floodInfo is how many bytes of the server's own description may come at
	// once, and floodInfo/64 in each second: nats.go keeps every address in it.
	floodInfo = 1 << 20
)

func newInspector() *inspector {
	return &inspector{
		lines: rate.NewLimiter(floodLines, floodLines),
		infos: rate.NewLimiter(floodInfo/64, floodInfo),
	}
}

// check reads p, which follows what it has read before, and returns how much
// of it nats.go may have. The error wraps [broker.ErrGarbled], or is errGreeting.
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
				return good, garbled(line, "no word of NATS")
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

// fits bounds the length of a line that holds part.
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

// verbs are the first words of a server's lines.
var verbs = [...]string{"+OK", "-ERR ", "HMSG ", "INFO ", "MSG ", "PING", "PONG"}

// begins reports whether a line could begin with part. (nats.go takes verbs in
// lower case, too; no server sends them.)
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

// take judges a whole line, with its end.
func (g *inspector) take(line []byte) error {
	if g.most == 0 { // what is no greeting, nats.go refuses
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
	return garbled(line, "no word of NATS")
}

// message judges what announces a message: a subject, the number of the
// subscription, perhaps a subject for replies, the size of the headers in an
// HMSG, and that of all of it. (nats.go parts them at tabs and returns, too.)
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

// number reads digits, at most 9: what has more is no size, and the number of
// a subscription is the client's own.
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

// announced learns how large messages may be from the server's description of
// itself. One that is no JSON changes nothing, here as in nats.go.
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

// garbled returns the error for a line that is not as NATS has it.
func garbled(line []byte, format string, args ...any) error {
	said := broker.Clip(strings.TrimRight(string(line[:min(len(line), maxLine)]), "\r\n"))
	return broker.Because(broker.ErrGarbled, fmt.Errorf("%s: it says %s", fmt.Sprintf(format, args...), said))
}
