package netsim

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Lie replaces every message from the server, including its greeting, with the
// result of lie: the same message, another one, several or none. The server behind
// it is real, so all other messages are true. It replaces an earlier call; nil ends
// it. lie may be called by several goroutines.
func (n *Network) Lie(lie func(message []byte) []byte) {
	if !n.framed {
		n.t.Fatal("messages inside TLS can't be told apart")
	}
	n.change(func() { n.lie = lie })
}

// Say sends words to all connected clients as if the server had sent them. They may
// interrupt a server's message longer than 32 KiB.
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

// Claims returns a lie that replaces the payload of messages that contain text.
// Headers stay.
func Claims(text, payload string) func(message []byte) []byte {
	return func(message []byte) []byte {
		if !bytes.Contains(message, []byte(text)) {
			return message
		}
		return WithPayload(message, payload)
	}
}

// WithPayload returns a MSG or HMSG with another payload, and other messages
// unchanged.
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

// lies returns the replacement of a message.
func (n *Network) lies(message []byte) []byte {
	n.mu.Lock()
	lie := n.lie
	n.mu.Unlock()
	if lie == nil {
		return message
	}
	return lie(message)
}
