//go:build unix

package cli_test

import (
	"os"
	"path/filepath"
	"regexp"
)

// restart starts a server again that was killed. NATS Streaming that was killed
// while it wrote refuses to start because its store ends in the middle of a
// record; it would start with -file_truncate_bad_eof, which does the same.
func (s broker) restart() {
	s.t.Helper()
	if !s.jetStream {
		s.truncate()
	}
	s.Restart()
}

func (s broker) truncate() {
	s.t.Helper()
	store := regexp.MustCompile(`Store location: (.*)`).FindStringSubmatch(s.Log())
	if store == nil {
		s.t.Fatalf("the server told of no store:\n%s", s.Log())
	}
	files, err := filepath.Glob(filepath.Join(store[1], channel, "subs.dat"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			s.t.Fatal(err)
		}
		if whole := wholeRecords(text); whole < len(text) {
			s.t.Logf("%s: the last %d bytes are no record", file, len(text)-whole)
			if err := os.Truncate(file, int64(whole)); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// wholeRecords returns where the last complete record of a store's file ends:
// after a version of 4 bytes, each has its size in 3 bytes, a type, a checksum
// of 4 bytes, and its payload.
func wholeRecords(text []byte) int {
	end := 4
	for next := end; next <= len(text); {
		end = next
		if len(text) < end+8 {
			break
		}
		size := int(text[end]) | int(text[end+1])<<8 | int(text[end+2])<<16
		next = end + 8 + size
	}
	return min(end, len(text))
}
