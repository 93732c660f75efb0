package stan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/stan.go"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// registration returns the subject on which clients of a cluster register.
func registration(cluster string) string { return stan.DefaultDiscoverPrefix + "." + cluster }

// exchange makes a request of the NATS Streaming protocol. read parses an answer and
// returns the error in it. Another client may answer, too, and even first: exchange reads
// all answers that arrive soon, and a refusal outranks a success.
func exchange(ctx context.Context, l *link.Link, subject string, question interface{ Marshal() ([]byte, error) },
	read func(data []byte) (refusal string, err error)) error {
	if !strings.HasPrefix(subject, "_STAN.") { // it was taken from an answer, and could be any subject
		return broker.Because(broker.ErrRefused, fmt.Errorf("%s is no subject of NATS Streaming's requests", broker.Clip(subject)))
	}
	data, err := question.Marshal()
	if err != nil {
		return err
	}
	inbox := l.Options.NewInbox()
	answers, err := l.NC.SubscribeSync(inbox)
	if err != nil {
		return broker.Because(broker.ErrLost, err)
	}
	defer func() { _ = answers.Unsubscribe() }()
	return l.AskOnce(ctx, func(ctx context.Context) error {
		if err := l.NC.PublishRequest(subject, inbox, data); err != nil {
			return broker.Because(broker.ErrLost, err)
		}
		begin := time.Now()
		reply, err := answers.NextMsgWithContext(ctx)
		if err != nil && !errors.Is(err, nats.ErrNoResponders) {
			return err
		}
		others, stop := context.WithTimeout(ctx, max(link.RollWait, 3*time.Since(begin)))
		defer stop()
		result := broker.Because(broker.ErrNoCluster, nats.ErrNoResponders)
		for {
			if err == nil && (len(reply.Data) > 0 || reply.Header.Get("Status") != "503") {
				refusal, unread := read(reply.Data)
				switch {
				case unread != nil:
					result = broker.Because(broker.ErrRefused, errors.New("the answer is not one of NATS Streaming"))
				case refusal != "":
					return explainRefusal(refusal)
				default:
					result = nil
				}
			}
			if reply, err = answers.NextMsgWithContext(others); err != nil && !errors.Is(err, nats.ErrNoResponders) {
				return cmp.Or(context.Cause(ctx), result)
			}
		}
	})
}

// explainRefusal wraps an error text of the server in its reason
// (nats-streaming-server, server/server.go).
func explainRefusal(words string) error {
	switch words {
	case "stan: unknown clientID":
		return broker.Because(broker.ErrNoClient, errors.New(words))
	case "stan: clientID already registered":
		return broker.Because(broker.ErrClientIDTaken, errors.New(words))
	}
	return broker.Because(broker.ErrRefused, errors.New(words))
}
