package process

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// An answer is a line that a long-lived handler wrote.
type answer struct {
	verdict Verdict
	reason  string
	after   time.Duration
	emit    [][]byte
	wrong   string // why it is none
}

// answers are the forms that the message about another names.
const answers = `{"ack":true}, {"retry":"5s"} and {"dead":"why"}`

// parse reads an answer. It keeps nothing of the line.
func parse(line []byte, emit bool) answer {
	line = bytes.TrimSpace(line)
	switch string(line) {
	case `{"ack":true}`, `{"ack": true}`:
		return answer{verdict: Ack}
	}
	var a struct {
		Ack   *bool
		Retry any
		Dead  *string
		Emit  []json.RawMessage
	}
	none := answer{wrong: fmt.Sprintf("the handler answered %s, which is none of %s", quote(line), answers)}
	if json.Unmarshal(line, &a) != nil {
		return none
	}
	given := 0
	for _, is := range []bool{a.Ack != nil, a.Retry != nil, a.Dead != nil} {
		if is {
			given++
		}
	}
	switch {
	case given > 1, given == 0 && a.Emit == nil, a.Emit != nil && (a.Retry != nil || a.Dead != nil):
	case len(a.Emit) > 0 && !emit:
		return answer{wrong: "the handler emitted records, which are not asked for"}
	case a.Dead != nil:
		return answer{verdict: Dead, reason: cut(*a.Dead)}
	case a.Retry == true:
		return answer{verdict: Retry, reason: "the handler asked for it"}
	case a.Retry != nil:
		text, _ := a.Retry.(string)
		if after, err := time.ParseDuration(text); err == nil && after >= 0 {
			return answer{verdict: Retry, reason: fmt.Sprintf("the handler asked for it in %s", after), after: after}
		}
	case a.Ack == nil || *a.Ack:
		return emitted(a.Emit)
	}
	return none
}

func emitted(records []json.RawMessage) answer {
	a := answer{verdict: Ack}
	size := 0
	for _, r := range records {
		size += len(r)
		switch {
		case len(r) > longestRecord:
			return answer{verdict: Retry, reason: "it emitted a record of more than 1 MiB"}
		case size > mostEmitted || len(records) > mostRecords:
			return answer{verdict: Retry, reason: fmt.Sprintf("it emitted records of more than 16 MiB, or more than %d", mostRecords)}
		}
		a.emit = append(a.emit, r)
	}
	return a
}

// quote returns the beginning of a line, quoted.
func quote(line []byte) string {
	const most = 100
	if len(line) > most {
		return fmt.Sprintf("%q…", line[:most])
	}
	return fmt.Sprintf("%q", line)
}

// cut bounds a reason, which may become a header.
func cut(reason string) string {
	const most = 1 << 10
	if len(reason) <= most {
		return reason
	}
	end := most
	for !utf8.RuneStart(reason[end]) {
		end--
	}
	return reason[:end] + "…"
}
