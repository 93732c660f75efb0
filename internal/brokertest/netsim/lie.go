package netsim

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Lie has every message from the server, its greeting included, replaced by
// what lie returns: the message itself, another, several, or nothing. The
// server behind it is real, so all that is not lied about is true. It replaces
// an earlier call; nil ends it. lie may be called by several goroutines.
func (n *Network) Lie(lie func(message []byte) []byte) {
	if !n.framed {
		n.t.Fatal("messages inside TLS can't be told apart")
	}
	n.change(func() { n.lie = lie })
}

// Say sends words to all clients that are connected now, as if the server had.
// A message of the server that is longer than 32 KiB may be broken by them.
func (n *Network) Say(words string) {
	n.mu.Lock()
	var open []*connection
	for c := range n.connections {
		if c.far != nil {
			open = append(open, c)
		}
	}
	n.mu.Unlock()
	for _, c := range open {
		c.down.push([]byte(words))
	}
}

// Claims is a lie: where a message holds text, its payload is another. Headers
// stay.
func Claims(text, payload string) func(message []byte) []byte {
	return func(message []byte) []byte {
		if !bytes.Contains(message, []byte(text)) {
			return message
		}
		return WithPayload(message, payload)
	}
}

// WithPayload returns a MSG or HMSG with another payload; other messages as
// they are.
func WithPayload(message []byte, payload string) []byte {
	head, rest, _ := bytes.Cut(message, []byte("\r\n"))
	words := strings.Fields(string(head))
	if len(words) < 4 {
		return message
	}
	header := 0
	switch words[0] {
	case "MSG":
	case "HMSG":
		header, _ = strconv.Atoi(words[len(words)-2])
	default:
		return message
	}
	if header > len(rest) {
		return message
	}
	words[len(words)-1] = strconv.Itoa(header + len(payload))
	return fmt.Appendf(nil, "%s\r\n%s%s\r\n", strings.Join(words, " "), rest[:header], payload)
}

// lies returns what the client gets in place of a message.
func (n *Network) lies(message []byte) []byte {
	n.mu.Lock()
	lie := n.lie
	n.mu.Unlock()
	if lie == nil {
		return message
	}
	return lie(message)
}
