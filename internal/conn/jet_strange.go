package conn

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
)

// isEvent reports whether a message is an event of the pull's consumer that was
// asked for. What is none is told, and left unacked. mu is held.
func (p *pull) isEvent(m *nats.Msg) bool {
	why := ""
	switch {
	case m.Subject == m.Sub.Subject: // published to the inbox: no stream has it
		why = "it has no place in a stream"
	case !ofConsumer(m.Reply, p.stream, p.name):
		why = fmt.Sprintf("it is not of the consumer %s of the stream %s", broker.Clip(p.name), broker.Clip(p.stream))
	case !wants(p.filters, m.Subject):
		why = fmt.Sprintf("the consumer %s is for %s", broker.Clip(p.name), broker.Clip(strings.Join(p.filters, ", ")))
		p.confirm(p.sameConsumer)
	default:
		return true
	}
	p.s.Ignore(m, why)
	return false
}

// ofConsumer reports whether events of a consumer are acked by a reply to
// subject: "$JS.ACK.STREAM.CONSUMER.…", with domain and account before the
// stream where there are several (ADR-15).
func ofConsumer(subject, stream, consumer string) bool {
	const domainAndAccount = 2
	place, ok := strings.CutPrefix(subject, "$JS.ACK.")
	for skip := 0; ok && skip <= domainAndAccount; skip += domainAndAccount {
		if rest, its := strings.CutPrefix(place, stream+"."); its && strings.HasPrefix(rest, consumer+".") {
			return true
		}
		_, place, _ = strings.Cut(place, ".")
		_, place, ok = strings.Cut(place, ".")
	}
	return false
}

// wants reports whether a consumer with filters delivers events of subject.
func wants(filters []string, subject string) bool {
	return len(filters) == 0 || slices.ContainsFunc(filters, func(f string) bool { return f == subject || broker.Covers(f, subject) })
}

func filtersOf(c jetstream.ConsumerConfig) []string {
	if c.FilterSubject != "" {
		return []string{c.FilterSubject}
	}
	return c.FilterSubjects
}

// confirm asks for the consumer before something is believed that anybody could
// have sent. One question at a time.
func (p *pull) confirm(judge func(*jetstream.ConsumerInfo, error)) {
	if p.ended || !p.checking.CompareAndSwap(false, true) {
		return
	}
	p.working.Go(func() {
		defer p.checking.Store(false)
		defer fault.Exit()
		info, err := p.info(p.s.Ctx)
		judge(info, err)
	})
}

// sameConsumer ends the session if the consumer is gone, or is another now.
func (p *pull) sameConsumer(info *jetstream.ConsumerInfo, err error) {
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		p.s.Leave(broker.Ended(p.deleted()))
	case err != nil: // tend asks again if nothing comes
	case !info.Created.Equal(p.created):
		p.s.Leave(broker.Ended(p.deleted()))
	case !slices.Equal(filtersOf(info.Config), p.filters):
		p.s.Leave(broker.Because(broker.ErrConsumer, fmt.Errorf("the consumer %q of stream %q was changed: it has the filter %q now",
			p.name, p.stream, strings.Join(filtersOf(info.Config), ", "))))
	}
}

// missedUpTo ends the session if the consumer has sent more events than came.
func (p *pull) missedUpTo(last uint64) func(*jetstream.ConsumerInfo, error) {
	return func(info *jetstream.ConsumerInfo, err error) {
		p.mu.Lock()
		came := p.came
		p.mu.Unlock()
		if err == nil && info.Delivered.Consumer >= last && last > came {
			p.s.Lose(p.missed())
		}
	}
}

// refused takes a status that asking again does not mend: the first is answered
// by asking anew, on an inbox that nobody knows. mu is held.
func (p *pull) refused(status, words string) {
	if !p.doubted {
		p.doubted = true
		p.renew()
		p.ask()
		return
	}
	p.s.Leave(broker.Because(broker.ErrRefused, fmt.Errorf("asking consumer %q of stream %q: %s %s", p.name, p.stream, broker.Clip(status), broker.Clip(words))))
}

func (p *pull) missed() error {
	return fmt.Errorf("events of stream %s were missed on the way", p.stream)
}

func (p *pull) deleted() error {
	return fmt.Errorf("the consumer %s of stream %s was deleted", p.name, p.stream)
}
