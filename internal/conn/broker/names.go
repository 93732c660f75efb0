package broker

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// maxName bounds every name, in bytes. The file store of NATS Streaming makes
// a folder of a channel's name, and file systems end at 255.
const maxName = 255

var clientID = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`) // the rule of nats-streaming-server (server/client.go)

// NewClientID returns a random client ID that begins with program.
func NewClientID(program string) string { return program + "-" + uuid.NewString() }

// CheckClientID returns an error that wraps [ErrName] if id is no client ID.
func CheckClientID(id string) error {
	if len(id) > maxName || !clientID.MatchString(id) {
		return fmt.Errorf("client ID %s: %w: letters, digits, - and _ only", Clip(id), ErrName)
	}
	return nil
}

// maxSubject bounds a subject: a server takes lines of 4096 bytes, and there
// are others on it.
const maxSubject = 2048

// CheckSubject returns an error that wraps [ErrName] unless events can be
// published to subject on one of the brokers. NATS Streaming answers some
// illegal names by not answering at all ("a..b", ".a", "a."), so this must come
// first.
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

// reserved are the first tokens of the subjects by which brokers are asked and
// changed, and by which they answer. What is published there is carried out, or
// misleads who waits for an answer; a stream on them does not change that.
// Those of key-value and object stores ($KV, $O) are subjects of streams like any other.
var reserved = []string{"$JS", "$JSC", "$NRG", "$SYS", "$MQTT", "_INBOX", "_STAN", "_R_", "_GR_"}

// CheckPublish returns an error that wraps [ErrName] unless events can be
// published to subject; [ErrReserved], too, where it is the broker's own.
func CheckPublish(subject string) error {
	return cmp.Or(CheckSubject(subject), notReserved("subject", subject))
}

func notReserved(what, subject string) error {
	if first, _, _ := strings.Cut(subject, "."); slices.Contains(reserved, first) {
		return fmt.Errorf("%s %s: %w: what is sent to %s is a request to the broker, or an answer to one", what, Clip(subject), ErrReserved, first)
	}
	return nil
}

// CheckChannel returns an error that wraps [ErrName] if subject can't be a
// channel of NATS Streaming, though it may be a subject of JetStream.
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

// CheckDurable returns an error that wraps [ErrName] if name can't name a
// durable position; "" is none, and legal.
func CheckDurable(name string) error {
	if strings.Contains(name, ":") {
		return fmt.Errorf("durable %s: %w: NATS Streaming allows no : in it", Clip(name), ErrName)
	}
	return CheckPlain("durable", name)
}

// CheckConsumer returns an error that wraps [ErrName] if durable can't be part
// of a JetStream consumer's name.
func CheckConsumer(durable string) error {
	if strings.ContainsAny(durable, `./\`) {
		return fmt.Errorf("durable %s: %w: JetStream allows no . / \\ in it (--durable NAME chooses another)", Clip(durable), ErrName)
	}
	return nil
}

// LegalName makes a stream's or consumer's name of a subject.
func LegalName(subject string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(`./\`, r) {
			return '_'
		}
		return r
	}, subject)
}

// Covers reports whether a subject filter of NATS, in which * stands for one
// token and > for all that follow, matches subject.
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

// CheckGroup returns an error that wraps [ErrName] if name can't name a queue
// group; "" is none, and legal.
func CheckGroup(name string) error { return CheckPlain("queue group", name) }

// CheckCluster returns an error that wraps [ErrName] if id can't be the ID of
// a NATS Streaming cluster.
func CheckCluster(id string) error {
	if id == "" {
		return fmt.Errorf("cluster \"\": %w: it is empty", ErrName)
	}
	return CheckPlain("cluster", id)
}

// CheckPlain returns an error that wraps [ErrName] if name is too long, or has
// spaces, control characters or wildcards. what says what it names.
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

// Clip quotes name for an error, and shortens it.
func Clip(name string) string {
	const longest = 60
	if len(name) > longest {
		return fmt.Sprintf("%q…", strings.ToValidUTF8(name[:longest], ""))
	}
	return fmt.Sprintf("%q", name)
}

// Size is a number of bytes in words.
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
