package broker

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// maxName is the maximum length of a name, in bytes. The file store of NATS Streaming
// makes a folder of each channel, and file systems allow 255.
const maxName = 255

var clientID = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`) // the rule of nats-streaming-server (server/client.go)

// NewClientID returns a random client ID that begins with program.
func NewClientID(program string) string { return program + "-" + uuid.NewString() }

// CheckClientID returns an error that wraps [ErrName] if id is not a legal client ID.
func CheckClientID(id string) error {
	if len(id) > maxName || !clientID.MatchString(id) {
		return fmt.Errorf("client ID %s: %w: letters, digits, - and _ only", Clip(id), ErrName)
	}
	return nil
}

// maxSubject is the maximum length of a subject, in bytes. A protocol line, which has
// other subjects on it, may have 4096.
const maxSubject = 2048

// CheckSubject returns an error that wraps [ErrName] if no broker accepts events on
// subject. NATS Streaming does not answer requests for some illegal names ("a..b",
// ".a", "a."), so names are checked before they are sent.
func CheckSubject(subject string) error {
	problem := ""
	switch {
	case subject == "":
		problem = "it is empty"
	case len(subject) > maxSubject:
		problem = tooLong(subject, maxSubject)
	case strings.ContainsAny(subject, "*>"):
		problem = "wildcards (* and >) name no single channel"
	case hasSpaceOrControl(subject):
		problem = "spaces and control characters can't be part of it"
	case strings.HasPrefix(subject, "."), strings.HasSuffix(subject, "."), strings.Contains(subject, ".."):
		problem = "a part between two dots is empty"
	}
	if problem != "" {
		return fmt.Errorf("subject %s: %w: %s", Clip(subject), ErrName, problem)
	}
	return nil
}

// IsPattern reports whether text is a pattern of subjects: it has a *, and no other
// sign with a meaning in subjects or in patterns.
func IsPattern(text string) bool {
	return strings.Contains(text, "*") && !strings.ContainsAny(text, `>?[\`)
}

// reserved are the first tokens of subjects that carry the brokers' requests and
// answers. An event published there would be executed as a request, or taken for an
// answer, even if a stream covers the subject. Key-value and object stores ($KV, $O)
// use subjects of ordinary streams.
var reserved = []string{"$JS", "$JSC", "$NRG", "$SYS", "$MQTT", "_INBOX", "_STAN", "_R_", "_GR_"}

// CheckPublish returns an error that wraps [ErrName] if events can't be published to
// subject, and [ErrReserved] if it is reserved for the broker.
func CheckPublish(subject string) error {
	return cmp.Or(CheckSubject(subject), notReserved("subject", subject))
}

func notReserved(what, subject string) error {
	if first, _, _ := strings.Cut(subject, "."); slices.Contains(reserved, first) {
		return fmt.Errorf("%s %s: %w: messages to %s are requests to the broker, or answers to them", what, Clip(subject), ErrReserved, first)
	}
	return nil
}

// CheckChannel returns an error that wraps [ErrName] if NATS Streaming does not accept
// subject as a channel, though JetStream may.
func CheckChannel(subject string) error {
	problem := ""
	switch {
	case len(subject) > maxName:
		problem = tooLong(subject, maxName)
	case strings.ContainsAny(subject, `/\`):
		problem = `/ and \ can't be part of it`
	}
	if problem != "" {
		return fmt.Errorf("channel %s: %w on NATS Streaming: %s", Clip(subject), ErrName, problem)
	}
	return notReserved("channel", subject)
}

func tooLong(name string, most int) string {
	return fmt.Sprintf("it has %d bytes, at most %d are possible", len(name), most)
}

// CheckDurable returns an error that wraps [ErrName] if name is not a legal durable.
// "" stands for none.
func CheckDurable(name string) error {
	if strings.Contains(name, ":") {
		return fmt.Errorf("durable %s: %w: NATS Streaming allows no : in it", Clip(name), ErrName)
	}
	return CheckPlain("durable", name)
}

// CheckConsumer returns an error that wraps [ErrConsumerName] if durable can't be part
// of a JetStream consumer's name.
func CheckConsumer(durable string) error {
	if strings.ContainsAny(durable, `./\`) {
		return fmt.Errorf("durable %s: %w: JetStream allows no . / \\ in it", Clip(durable), ErrConsumerName)
	}
	return nil
}

// LegalName returns subject with the characters replaced that a stream's or consumer's
// name can't have.
func LegalName(subject string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(`./\`, r) {
			return '_'
		}
		return r
	}, subject)
}

// Covers reports whether a subject filter matches subject. In it, * stands for one
// token and > for all that follow.
func Covers(filter, subject string) bool {
	f, s := strings.Split(filter, "."), strings.Split(subject, ".")
	for i, token := range f {
		switch {
		case token == ">":
			return len(s) > i
		case i >= len(s), token != s[i] && token != "*":
			return false
		}
	}
	return len(f) == len(s)
}

// CheckGroup returns an error that wraps [ErrName] if name is not a legal queue group.
// "" stands for none.
func CheckGroup(name string) error { return CheckPlain("queue group", name) }

// CheckCluster returns an error that wraps [ErrName] if id is not a legal ID of a NATS
// Streaming cluster.
func CheckCluster(id string) error {
	if id == "" {
		return fmt.Errorf("cluster \"\": %w: it is empty", ErrName)
	}
	return CheckPlain("cluster", id)
}

// CheckPlain returns an error that wraps [ErrName] if name is too long, or has spaces,
// control characters or wildcards. The error calls it what.
func CheckPlain(what, name string) error {
	if len(name) > maxName {
		return fmt.Errorf("%s %s: %w: more than %d bytes", what, Clip(name), ErrName, maxName)
	}
	if hasSpaceOrControl(name) || strings.ContainsAny(name, "*>") {
		return fmt.Errorf("%s %s: %w: no spaces, control characters or wildcards", what, Clip(name), ErrName)
	}
	return nil
}

func hasSpaceOrControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || (r >= 0x7f && r <= 0xa0) || r == '\uFFFD' })
}

// Clip quotes name for a message and shortens it to 60 bytes.
func Clip(name string) string {
	const longest = 60
	if len(name) > longest {
		return fmt.Sprintf("%q…", strings.ToValidUTF8(name[:longest], ""))
	}
	return fmt.Sprintf("%q", name)
}

// Size formats a number of bytes, such as "1.5 MiB".
func Size(n uint64) string {
	value, units := float64(n), []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	for value >= 1024 && len(units) > 1 {
		value, units = value/1024, units[1:]
	}
	if units[0] == "bytes" {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %s", value, units[0])
}
