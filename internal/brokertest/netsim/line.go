package netsim

import (
	"bufio"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A line is one direction of a connection: it reads, limits the rate, delays and
// writes.
type line struct {
	connection *connection
	direction  Direction
	from, to   *net.TCPConn
	shut       atomic.Bool // the receiver has seen the end already

	mu      sync.Mutex
	chunks  []chunk
	written chan struct{} // capacity 1: signals that chunks were removed
	added   chan struct{} // capacity 1: signals that chunks were added
}

// A chunk is data in transit.
type chunk struct {
	data []byte
	due  time.Time // time of arrival
}

const (
	maxChunk = 32 << 10
	// maxRipe is the most bytes that may have arrived without being read by the
	// receiver.
	maxRipe = 256 << 10
)

func newLine(c *connection, d Direction) *line {
	return &line{connection: c, direction: d, written: make(chan struct{}, 1), added: make(chan struct{}, 1)}
}

// read receives data until the sender's end.
func (l *line) read() {
	defer l.push(nil)
	if l.direction == Up || !l.connection.network.framed {
		buffer := make([]byte, maxChunk)
		for {
			n, err := l.from.Read(buffer)
			if !l.pass(buffer[:n]) || err != nil {
				return
			}
		}
	}
	in := bufio.NewReaderSize(l.from, maxChunk)
	var out []byte
	for {
		message, err := readMessage(in)
		switch {
		case err != nil:
			out = append(out, message...)
		case !l.connection.network.loses(message):
			out = append(out, l.connection.network.lies(message)...)
		}
		if err == nil && in.Buffered() > 0 && len(out) < maxChunk {
			continue // data received together is sent together
		}
		if !l.pass(out) || err != nil {
			return
		}
		out = out[:0]
	}
}

// readMessage reads a message of the server: a line and, after MSG and HMSG, a
// payload. On an error, it returns the partial message.
func readMessage(in *bufio.Reader) ([]byte, error) {
	message, err := in.ReadBytes('\n')
	if err != nil {
		return message, err
	}
	words := strings.Fields(string(message[:min(len(message), 4<<10)]))
	if len(words) < 4 || words[0] != "MSG" && words[0] != "HMSG" {
		return message, nil
	}
	size, err := strconv.Atoi(words[len(words)-1])
	if err != nil || size < 0 {
		return message, nil
	}
	payload := make([]byte, size+len("\r\n"))
	n, err := io.ReadFull(in, payload)
	return append(message, payload[:n]...), err
}

// pass forwards data within the rate limit. It returns false if the connection was
// cut.
func (l *line) pass(data []byte) bool {
	for len(data) > 0 {
		n := l.connection.awaitRate(l.direction, min(len(data), maxChunk))
		if n == 0 || !l.awaitRoom() {
			return false
		}
		l.push(append([]byte(nil), data[:n]...))
		data = data[n:]
	}
	return true
}

// push adds data, or the end of all data.
func (l *line) push(data []byte) {
	l.connection.network.mu.Lock()
	delay := l.connection.network.delay
	l.connection.network.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.chunks = append(l.chunks, chunk{data, time.Now().Add(delay)})
	signal(l.added)
}

// awaitRoom waits while too much data has arrived without being written.
func (l *line) awaitRoom() bool {
	for l.ripe() > maxRipe {
		select {
		case <-l.written:
		case <-l.connection.ended:
			return false
		}
	}
	return true
}

// ripe returns the number of bytes ready for the receiver, or slightly more than
// the limit.
func (l *line) ripe() (size int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, c := range l.chunks {
		if c.due.After(now) || size > maxRipe {
			break
		}
		size += len(c.data)
	}
	return size
}

// write delivers chunks until the end.
func (l *line) write() {
	for {
		c, ok := l.first()
		if !ok || !l.connection.awaitPassable(c.due) {
			return
		}
		if c.data == nil {
			_ = l.to.CloseWrite()
			return
		}
		if !l.shut.Load() {
			if _, err := l.to.Write(c.data); err != nil && !l.shut.Load() {
				l.connection.network.cut(l.connection)
				return
			}
		}
		l.done(len(c.data))
	}
}

// first waits for the next chunk due.
func (l *line) first() (chunk, bool) {
	for {
		l.mu.Lock()
		if len(l.chunks) > 0 {
			defer l.mu.Unlock()
			return l.chunks[0], true
		}
		l.mu.Unlock()
		select {
		case <-l.added:
		case <-l.connection.ended:
			return chunk{}, false
		}
	}
}

// done removes a delivered chunk.
func (l *line) done(size int) {
	l.connection.network.count(l.direction, size)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.chunks = l.chunks[1:]
	signal(l.written)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
