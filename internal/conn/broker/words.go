package broker

import (
	"regexp"
	"strings"
	"sync"
)

// plainWords replace texts of libraries that say nothing to a user.
var plainWords = strings.NewReplacer(
	"nats: no servers available for connection", "no server accepts a connection",
	"nats: no responders available for request", "no responders",
	"nats: timeout", "no answer in time",
	"context deadline exceeded", "no answer in time",
	"i/o timeout", "no answer in time",
	"nats: connection closed", "the connection is closed",
	"nats: outbound buffer limit exceeded", "there is no connection",
	"nats: stale connection", "the server does not answer pings",
)

// networkWords matches the beginning of errors of package net.
var networkWords = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\bdial tcp: lookup (\S+)(?: on \S+)?: |\bdial tcp (\S+): (?:connect: )?|\b(?:read|write) tcp \S+->(\S+): (?:read: |write: )?`)
})

// Plain returns the text of a library's error in plain words: with the address and
// the reason of a network error only.
func Plain(err error) string {
	text := err.Error()
	if text == "EOF" {
		return "the server closed the connection"
	}
	return plainWords.Replace(networkWords().ReplaceAllStringFunc(text, func(begin string) string {
		m := networkWords().FindStringSubmatch(begin)
		if m[1] != "" {
			return "looking up " + m[1] + ": "
		}
		return m[2] + m[3] + ": "
	}))
}
