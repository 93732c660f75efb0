package publish

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"nats-test/internal/cli/console"
	"nats-test/internal/cli/source"
	"nats-test/internal/fault"
)

// Limits of the events that are read and checked ahead of sending.
const (
	batchEvents  = 64
	batchBytes   = 64 << 10
	aheadBatches = 4
	aheadBytes   = 8 << 20
)

// A reader reads and checks events ahead of their sending. It hands them over in
// batches; one is handed over early when the reader has to wait for its input.
type reader struct {
	src   source.Source
	check func([]byte) ([]byte, error)

	ctx     context.Context
	filling batch
	batches chan batch
	room    *semaphore.Weighted // in bytes

	read  atomic.Int64 // events so far
	ended bool         // batches is closed because there are no more events
}

// A batch is some events in the order of the source, and the error that ended
// the source behind them.
type batch struct {
	events [][]byte
	bytes  []byte // of these
	err    error
}

// weight is the batch's share of the room in bytes, at most all of it.
func (b *batch) weight() int64 { return min(int64(len(b.bytes)), aheadBytes) }

func newReader(check func([]byte) ([]byte, error)) *reader {
	return &reader{check: check, batches: make(chan batch, aheadBatches), room: semaphore.NewWeighted(aheadBytes)}
}

// ahead returns in for the reader's source to read: before it waits for input, the
// events read so far are handed over.
func (r *reader) ahead(in io.Reader) io.Reader {
	return bufio.NewReaderSize(handingOver{r, in}, batchBytes)
}

type handingOver struct {
	r  *reader
	in io.Reader
}

func (h handingOver) Read(p []byte) (int, error) {
	h.r.handOver()
	return h.in.Read(p)
}

func (r *reader) run(ctx context.Context) {
	defer close(r.batches)
	defer fault.Exit()
	r.ctx = ctx
	for n := 1; ; n++ {
		data, line, err := r.src.Next()
		if errors.Is(err, io.EOF) {
			r.ended = r.handOver()
			return
		}
		if err == nil {
			data, err = r.check(data)
		}
		r.read.Add(1)
		if err != nil {
			if line > 0 {
				err = fmt.Errorf("event %d (line %d): %w", n, line, err)
			}
			r.filling.err = err
			r.handOver()
			return
		}
		if !r.add(data) {
			return
		}
	}
}

// add adds a copy of data to the batch. It returns false if the reader is to end.
func (r *reader) add(data []byte) bool {
	b := &r.filling
	begin := len(b.bytes)
	b.bytes = append(b.bytes, data...) // those before it may stay where they were
	b.events = append(b.events, b.bytes[begin:len(b.bytes):len(b.bytes)])
	return len(b.events) < batchEvents && len(b.bytes) < batchBytes || r.handOver()
}

// handOver passes the batch on when there is room for it. It returns false if the
// reader is to end.
func (r *reader) handOver() bool {
	b := r.filling
	if len(b.events) == 0 && b.err == nil {
		return true
	}
	if r.room.Acquire(r.ctx, b.weight()) != nil {
		return false
	}
	r.filling = batch{events: make([][]byte, 0, len(b.events)), bytes: make([]byte, 0, min(len(b.bytes), batchBytes))}
	select {
	case r.batches <- b:
		return true
	case <-r.ctx.Done():
		return false
	}
}

var errNoEvents = console.Explained(errors.New("there is no event on stdin"), console.ErrContract,
	"give one JSON value per event, or the data itself with --data JSON")

// each calls do with every event, in order, until one is bad, do fails, stop is
// closed (nil is never), or stdout takes no more. If ctx is done before the
// last, the error is [console.ErrInterrupted].
func (r *reader) each(ctx context.Context, out *results, stop func() <-chan struct{}, do func(data []byte) error) error {
	for n := 0; ; n++ {
		var b batch
		var more bool
		select {
		case b, more = <-r.batches:
		default: // nothing is there yet, and everything may happen meanwhile
			select {
			case b, more = <-r.batches:
			case <-ctx.Done():
				return console.ErrInterrupted
			case <-stop():
				return nil
			case <-out.broken:
				return out.wait(ctx)
			}
		}
		switch {
		case !more && r.ended && n > 0:
			return nil
		case ctx.Err() != nil:
			return console.ErrInterrupted
		case !more:
			return errNoEvents
		}
		r.room.Release(b.weight())
		for _, data := range b.events {
			if ctx.Err() != nil {
				return console.ErrInterrupted
			}
			if err := do(data); err != nil {
				return err
			}
		}
		if b.err != nil {
			return b.err
		}
	}
}
