package wire

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"nats-test/internal/conn/broker"
)

const (
	info  = `INFO {"server_id":"ID","version":"2.15.2","max_payload":1048576,"headers":true}` + " \r\n"
	hello = info + "PONG\r\n"
)

// read has a guard read text in parts that cut chooses, and returns what passed.
func read(c checker, text string, cut func(left int) int) (passed string, err error) {
	var read strings.Builder
	for len(text) > 0 {
		n := cut(len(text))
		good, err := c.check([]byte(text[:n]))
		read.WriteString(text[:good])
		if err != nil {
			return read.String(), err
		}
		text = text[n:]
	}
	return read.String(), nil
}

func whole(left int) int { return left }

func bytewise(int) int { return 1 }

// still is a guard for which no time passes.
func still() *inspector {
	g := newInspector()
	g.lines.SetLimit(0)
	g.infos.SetLimit(0)
	return g
}

func TestGuard(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxLine)
	servers := func(n int) string { return strings.TrimSuffix(strings.Repeat(`"h:1",`, n), ",") }
	for name, test := range map[string]struct {
		says   string
		passes bool
	}{
		"message":              {"MSG a.b 1 5\r\nhello\r\n", true},
		"empty message":        {"MSG a 1 0\r\n\r\nPING\r\n", true},
		"reply":                {"MSG a 1 _INBOX.x 2\r\nhi\r\n", true},
		"payload like a line":  {"MSG a 1 9\r\n\r\nMSG a \n\r\nPING\r\n", true},
		"headers":              {"HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", true},
		"no responders":        {"HMSG _INBOX.x.y 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", true},
		"error":                {"-ERR 'Permissions Violation for Publish to \"a\"'\r\n", true},
		"ok, ping, pong":       {"+OK\r\nPING\r\nPONG\r\n", true},
		"description":          {info, true},
		"as large as may be":   {"MSG a 1 9437184\r\n", true},
		"larger":               {"MSG a 1 9437185\r\n", false},
		"more than an int64":   {"MSG a 1 9223372036854775807\r\n", false},
		"24 digits":            {"MSG a 1 100000000000000000000005\r\nhello\r\n", false},
		"24 digits of headers": {"HMSG a 1 100000000000000000000005 12\r\nNATS/1.0\r\n\r\n\r\n", false},
		"all of it in 24":      {"HMSG a 1 12 100000000000000000000005\r\n", false},
		"headers longer":       {"HMSG a 1 15 14\r\nNATS/1.0\r\n\r\nhi\r\n", false},
		"negative size":        {"MSG a 1 -1\r\n", false},
		"negative headers":     {"HMSG a 1 -1 5\r\nhello\r\n", false},
		"no size":              {"MSG a 1 \r\n", false},
		"no numbers":           {"MSG a b c\r\n", false},
		"subscription 24":      {"MSG a 100000000000000000000001 5\r\nhello\r\n", false},
		"too few words":        {"MSG a 1\r\n", false},
		"too many words":       {"MSG a 1 b c 5\r\nhello\r\n", false},
		"return in a subject":  {"MSG 0\rA 0 5\r\n00000\r\n", false},
		"tab in a subject":     {"MSG a\tb 1 5\r\nhello\r\n", false},
		"return at its end":    {"MSG a\r 1 5\r\nhello\r\nPING\r\n", false},
		"size before a return": {"MSG a 1 2\r5\r\n", false},
		"line feed alone":      {"MSG a 1 5\nhello\r\n", false},
		"line in the words":    {"MSG \na 1 5\r\nhello\r\n", false},
		"longer than told":     {"MSG a 1 4\r\nhello\r\n", false},
		"shorter than told":    {"MSG a 1 6\r\nhello\r\nPING\r\n", false},
		"line in the error":    {"-ERR \nMSG a 1 900\r\n", false},
		"description on two":   {"INFO \n{}\r\n", false},
		"other word":           {"HELLO\r\n", false},
		"empty line":           {"\r\n", false},
		"long subject":         {"MSG " + long + " 1 5\r\n", false},
		"long error":           {"-ERR '" + long + "'\r\n", false},
		"long ping":            {"PING" + strings.Repeat(" ", maxLine) + "\r\n", false},
		"endless line":         {"-ERR '" + long, false},
		"endless description":  {"INFO {" + strings.Repeat(" ", maxGreeting), false},
		"many servers":         {`INFO {"connect_urls":[` + servers(mostServers) + "]}\r\n", true},
		"too many servers":     {`INFO {"connect_urls":[` + servers(mostServers+1) + "]}\r\n", false},
		"junk for description": {"INFO junk\r\n", true},
		"flood of errors":      {strings.Repeat("-ERR 'maximum subscriptions exceeded'\r\n", floodLines+floodLines/2), false},
		"flood of pings":       {strings.Repeat("PING\r\n", floodLines+floodLines/2), false},
		"flood of descriptions": {
			strings.Repeat(`INFO {"connect_urls":[`+servers(1000)+"]}\r\n", 2*floodInfo/64/1000), false},
	} {
		t.Run(name, func(t *testing.T) {
			passed, err := read(still(), hello+test.says, whole)
			if (err == nil) != test.passes {
				t.Errorf("whole: %v", err)
			}
			if err == nil && passed != hello+test.says || !strings.HasPrefix(passed, hello) {
				t.Errorf("passed %.200q", passed)
			}
			if err != nil && (!errors.Is(err, broker.ErrGarbled) || len(err.Error()) > 300) {
				t.Errorf("%v", err)
			}
			if _, split := read(still(), hello+test.says, bytewise); (split == nil) != test.passes {
				t.Errorf("byte by byte: %v", split)
			}
		})
	}
}

// The bound follows what the server says of itself.
func TestGuardTakesTheServersBound(t *testing.T) {
	t.Parallel()
	announce := func(max string) string { return "INFO {\"max_payload\":" + max + "}\r\n" }
	for _, test := range []struct {
		says string
		most int
	}{
		{announce("1024"), leastPayload + headerMargin},
		{announce("2000000"), 8*2000000 + headerMargin},
		{announce("8388607"), 8*8388607 + headerMargin},
		{announce("8388608"), mostPayload + headerMargin},
		{announce("9223372036854775807"), mostPayload + headerMargin},
		{announce("-1"), mostPayload + headerMargin},
		{announce("1024") + announce("2000000"), 8*2000000 + headerMargin},
		{announce("2000000") + announce(`"much"`), 8*2000000 + headerMargin},
		{announce("2000000") + "INFO junk\r\n", 8*2000000 + headerMargin},
	} {
		for size, passes := range map[int]bool{test.most: true, test.most + 1: false} {
			_, err := read(newInspector(), test.says+fmt.Sprintf("MSG a 1 %d\r\n", size), whole)
			if (err == nil) != passes {
				t.Errorf("%q, a message of %d: %v", test.says, size, err)
			}
		}
	}
}

// What came before a fault is not lost with it.
func TestGuardPassesWhatIsGood(t *testing.T) {
	t.Parallel()
	good := hello + "MSG a 1 2\r\nhi\r\n-ERR 'x'\r\n"
	passed, err := read(newInspector(), good+"MSG a 1 x\r\n", whole)
	if passed != good || !errors.Is(err, broker.ErrGarbled) {
		t.Errorf("%q, %v", passed, err)
	}
}

func TestGuardAllocatesNothing(t *testing.T) {
	g := newInspector()
	if _, err := g.check([]byte(hello)); err != nil {
		t.Fatal(err)
	}
	text := []byte(strings.Repeat("MSG a.b 1 $JS.ACK.x.y 5\r\nhello\r\nHMSG a 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPING\r\n", 10))
	at := 0
	if n := testing.AllocsPerRun(100, func() {
		for _, size := range []int{1, 7, 100, len(text) - 108} {
			if _, err := g.check(text[at : at+size]); err != nil {
				t.Fatal(err)
			}
			at = (at + size) % len(text)
		}
	}); n > 0 {
		t.Errorf("%v allocations a read", n)
	}
}

func TestFrameGuard(t *testing.T) {
	t.Parallel()
	const response = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
	frame := func(first, second byte, text string) string { return string([]byte{first, second}) + text }
	binary := func(text string) string { return frame(0x82, byte(len(text)), text) }
	for name, test := range map[string]struct {
		says   string
		passes bool
	}{
		"frames":           {response + binary(info) + binary("PONG\r\nMSG a 1 ") + binary("2\r\nhi\r\nPING\r\n"), true},
		"control":          {response + binary(info) + frame(0x89, 2, "hi") + binary("PING\r\n"), true},
		"parts":            {response + frame(2, 5, info[:5]) + frame(0x80, byte(len(info)-5), info[5:]), true},
		"16 bits":          {response + frame(0x82, 126, "\x00"+string(rune(len(info)))+info), true},
		"64 bits":          {response + frame(0x82, 127, "\x00\x00\x00\x00\x00\x00\x00"+string(rune(len(info)))+info), true},
		"refused":          {"HTTP/1.1 400 Bad Request\r\nA: b\r\n\r\n", true},
		"a lie":            {response + binary(info) + binary("MSG a 1 9223372036854775807\r\n"), false},
		"compressed":       {response + frame(0xc2, 2, "hi"), false},
		"masked":           {response + frame(0x82, 0x82, "hihihi"), false},
		"huge":             {response + frame(0x82, 127, "\x00\x00\x00\x01\x00\x00\x00\x00"), false},
		"beyond an int64":  {response + frame(0x82, 127, "\xff\xff\xff\xff\xff\xff\xff\xff"), false},
		"endless header":   {"HTTP/1.1 101 S\r\n" + strings.Repeat("A: b\r\n", maxResponse), false},
		"endless line":     {"HTTP/1.1 101 " + strings.Repeat("x", maxResponse), false},
		"flood of control": {response + binary(info) + strings.Repeat(frame(0x89, 0, ""), floodLines+floodLines/2), false},
	} {
		t.Run(name, func(t *testing.T) {
			passed, err := read(&frameGuard{guard: still()}, test.says, whole)
			if (err == nil) != test.passes || err == nil && passed != test.says {
				t.Errorf("whole: %v, passed %.200q", err, passed)
			}
			if _, split := read(&frameGuard{guard: still()}, test.says, bytewise); (split == nil) != test.passes {
				t.Errorf("byte by byte: %v", split)
			}
		})
	}
}

// seeds are what fuzzing begins with.
var seeds = []string{
	"MSG a 1 5\r\nhello\r\n", "MSG a 1 b 5\r\nhello\r\nPING\r\n", "HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
	"MSG a 1 9223372036854775807\r\n", "MSG a 1 18446744073709551621\r\n", "HMSG a 1 b 0 0\r\n\r\n", "+OK\r\nPONG\r\n", "-ERR 'x'\r\n",
	info, "MSG \na 1 5\r\nhello\r\n", "MSG a\r 1 25\r\nhello\r\n", "-ERR \nMSG a 1 90\r\n", "MSG a 1 4\nhell\nPING\r\n", "msg a 1 5\r\nhello\r\n",
	`INFO {"max_payload":1}` + "\r\nMSG a 1 100\r\n", "HMSG a 1 9 5\r\n", "HMSG a 1 22 22\r\nNATS/1.0 503 No \r\n\r\n\r\n", "\x82\x03PIN", "\x89\x00\x02\x7e\x00\x02hi",
}

// FuzzGuard: how a stream is cut into reads changes nothing.
func FuzzGuard(f *testing.F) {
	for i, seed := range seeds {
		f.Add(seed, uint64(i))
	}
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 0))
		parts := func(left int) int { return 1 + random.IntN(min(left, 1+random.IntN(20))) }
		for _, start := range []struct {
			text string
			make func() checker
		}{
			{hello, func() checker { return newInspector() }},
			{"", func() checker { return newInspector() }},
			{"HTTP/1.1 101 S\r\n\r\n\x82\x7e\x00" + string(rune(len(info))) + info, func() checker { return newFrameGuard() }},
		} {
			passed, err := read(start.make(), start.text+text, whole)
			split, splitErr := read(start.make(), start.text+text, parts)
			if (err == nil) != (splitErr == nil) || !strings.HasPrefix(start.text+text, split) || len(split) < len(passed) && err != nil {
				t.Errorf("%q: whole %q, %v; split %q, %v", start.text+text, passed, err, split, splitErr)
			}
		}
	})
}
