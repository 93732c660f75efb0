package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"al.essio.dev/pkg/shellescape"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	jet "nats-test/internal/conn/jetstream"
	"nats-test/internal/conn/link"
	"nats-test/internal/conn/link/wire"
	"nats-test/internal/conn/stan"
)

// broker finds out which broker is there, whether it would be used, and whether it covers
// the subjects. It asks for both kinds first, as whether one is needed depends on the other.
func (d *diagnosing) broker(ctx context.Context, subjects []string) {
	l := d.link
	begin := time.Now()
	streaming := stan.Discover(ctx, l)
	took := wire.Since(begin)
	var its *jetstream.AccountInfo
	js, missing := jet.Client(l)
	if missing == nil && ctx.Err() == nil {
		its, missing = jet.Account(ctx, l, js)
	}
	if ctx.Err() != nil {
		return
	}
	backend, err := judge(l.Options, streaming, missing)
	if backend == broker.STAN && err == nil && subjects != nil {
		// A ping is answered even where registering is not permitted, or hangs.
		var session broker.Session
		if session, err = stan.Open(ctx, l, true); err == nil {
			defer func() { _ = session.Close() }()
		}
		if ctx.Err() != nil {
			return
		}
	}
	atCluster, atJetStream := err, error(nil)
	if l.Options.Backend == broker.JetStream || errors.Is(err, broker.ErrNoDomain) || l.Options.Backend == broker.Auto && backend != broker.STAN && !errors.Is(missing, broker.ErrNoJetStream) &&
		(errors.Is(streaming, nats.ErrNoResponders) || errors.Is(streaming, broker.ErrAuth)) {
		atCluster, atJetStream = nil, err
	}
	d.cluster(streaming, took, atCluster, subjects != nil)
	d.jetStream(its, missing, atJetStream)
	if err != nil {
		return
	}
	d.Backend = backend
	if backend == broker.JetStream {
		d.streams(ctx, js, subjects)
	}
}

// judge returns the backend that would be used. Its error is that of Dial.
func judge(o link.Options, streaming, jetStream error) (broker.Backend, error) {
	absent := errors.Is(streaming, nats.ErrNoResponders)
	switch {
	case o.Backend == broker.STAN && absent:
		return "", broker.Because(broker.ErrNoCluster, streaming)
	case o.Backend == broker.STAN:
		return broker.STAN, streaming
	case o.Backend == broker.JetStream && errors.Is(jetStream, broker.ErrAuth): // perhaps only asking is not permitted
		return broker.JetStream, nil
	case o.Backend == broker.JetStream:
		return broker.JetStream, jetStream
	}
	if absent {
		streaming = broker.Because(broker.ErrNoCluster, streaming)
	} else if errors.Is(streaming, broker.ErrHung) {
		streaming = broker.Because(broker.ErrSilentCluster, streaming)
	}
	return conn.Choose(o, []error{streaming, jetStream})
}

// cluster reports the NATS Streaming cluster. fault is why it can't be used, or nil.
func (d *diagnosing) cluster(streaming error, took string, fault error, opened bool) {
	id := wire.ClipWord(d.link.Options.Cluster)
	opens := ""
	if opened && d.link.Options.Backend != broker.JetStream {
		opens = ", and takes clients"
	}
	f := Finding{Step: StepCluster, Err: fault}
	switch {
	case streaming == nil && fault == nil:
		f.State, f.Short, f.What = StateOK, "cluster "+id+" ok", fmt.Sprintf("%s answers in %s%s", id, took, opens)
	case streaming == nil:
		f.Short, f.What = "cluster "+id+" takes no clients", id+" answers, but takes no client: "+words(fault)
	case errors.Is(streaming, nats.ErrNoResponders):
		f.State, f.Short, f.What = StateNone, "cluster "+id+" not found", "no NATS Streaming cluster "+id+" answers"
		if errors.Is(fault, broker.ErrNoJetStream) {
			f.What += ", nor JetStream"
		}
	case errors.Is(streaming, broker.ErrAuth):
		f.State, f.Short, f.What = StateUnknown, "cluster not asked for", "asking for "+id+" is not permitted: "+words(streaming)
	default:
		f.State, f.Short, f.What = StateUnknown, "cluster "+id+" without an answer", id+" does not answer: "+words(streaming)
	}
	if fault != nil {
		d.fault(f)
		return
	}
	d.tell(f)
}

// jetStream reports the account's JetStream. fault is why it can't be used, or nil.
func (d *diagnosing) jetStream(account *jetstream.AccountInfo, missing, fault error) {
	f := Finding{Step: StepJetStream, Err: fault}
	switch {
	case missing == nil:
		f.State, f.Short, f.What = StateOK, "JetStream ok", describe(account)
	case errors.Is(missing, jetstream.ErrJetStreamNotEnabledForAccount):
		f.State, f.Short, f.What = StateNone, "no JetStream", "not enabled for this account"
	case errors.Is(missing, broker.ErrNoJetStream):
		f.State, f.Short, f.What = StateNone, "no JetStream", "not enabled"
	case errors.Is(missing, broker.ErrAuth):
		f.State, f.Short, f.What = StateUnknown, "JetStream not asked for", "asking for it is not permitted: "+words(missing)
		f.Hint = "publishing needs the permission to publish the subject; listening needs $JS.API.STREAM.NAMES, $JS.API.CONSUMER.> and $JS.ACK.>"
	default:
		f.State, f.Short, f.What = StateUnknown, "JetStream without an answer", "it does not answer: "+words(missing)
	}
	if fault != nil {
		d.fault(f)
		return
	}
	d.tell(f)
}

// describe summarizes an account's use of JetStream.
func describe(a *jetstream.AccountInfo) string {
	use, limits := a.Tier, a.Limits
	for _, t := range a.Tiers { // tiers: limits that depend on the number of replicas
		use.Streams, use.Consumers = use.Streams+t.Streams, use.Consumers+t.Consumers
		use.Store, use.Memory = use.Store+t.Store, use.Memory+t.Memory
		limits = t.Limits
	}
	text := fmt.Sprintf("enabled: %s%s, %s%s, %s in files%s, %s in memory%s",
		count(use.Streams, "stream"), ofCount(limits.MaxStreams), count(use.Consumers, "consumer"), ofCount(limits.MaxConsumers),
		broker.Size(use.Store), ofSize(limits.MaxStore), broker.Size(use.Memory), ofSize(limits.MaxMemory))
	if a.Domain != "" {
		text += ", domain " + wire.ClipWord(a.Domain)
	}
	return text
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

func ofCount(limit int) string {
	if limit <= 0 {
		return ""
	}
	return fmt.Sprintf(" of %d", limit)
}

// ofSize omits a limit of 0, which on some servers means none.
func ofSize(limit int64) string {
	if limit <= 0 {
		return ""
	}
	return " of " + broker.Size(uint64(limit))
}

// Numbers of subjects that are listed: with their streams, and without one.
const (
	fewSubjects  = 3
	manySubjects = 10
)

// streams reports which streams store the subjects: in one line if all are stored, else
// with the names of the missing ones.
func (d *diagnosing) streams(ctx context.Context, js jetstream.JetStream, subjects []string) {
	s := jet.NewSession(d.link, js)
	var stored, missing, notes []string
	distinct := make(map[string]bool)
	for _, subject := range subjects {
		name, err := s.Stream(ctx, subject)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, broker.ErrNoStream):
			missing = append(missing, subject)
		case err != nil:
			d.fault(Finding{Step: StepStream, Short: "streams not asked for", What: "asking for the stream of " + subject + ": " + words(err), Err: err,
				Hint: streamsHint(err)})
			return
		default:
			if !distinct[name] || len(subjects) <= fewSubjects {
				notes = append(notes, s.Notes(subject)...)
			}
			distinct[name] = true
			stored = append(stored, subject+" is in "+wire.ClipWord(name))
		}
	}
	covered := strings.Join(stored, ", ")
	if len(stored) > fewSubjects {
		covered = fmt.Sprintf("%d subjects are in %s", len(stored), count(len(distinct), "stream"))
	}
	if len(missing) == 0 {
		if len(stored) > 0 {
			d.found(StepStream, StateOK, "streams ok", "%s", covered)
		}
		slices.Sort(notes)
		for _, n := range slices.Compact(notes) {
			d.found(StepStream, StateNote, "", "%s", n)
		}
		return
	}
	names, typed := strings.Join(missing, ", "), shellescape.QuoteCommand(missing)
	if len(missing) > manySubjects {
		names = fmt.Sprintf("%s and %d others", strings.Join(missing[:manySubjects], ", "), len(missing)-manySubjects)
	}
	if len(missing) > fewSubjects {
		typed = "SUBJECT..."
	}
	what := "no stream stores " + names
	if covered != "" {
		what += "; " + covered
	}
	d.fault(Finding{
		Step: StepStream, Short: "no stream", What: what, Err: fmt.Errorf("%s: %w", names, broker.ErrNoStream),
		Hint: fmt.Sprintf("`listen %s --create-stream` makes what is missing, `publish` has the same flag; "+
			"or add it to a stream of yours (nats stream edit)", typed),
	})
}

func streamsHint(err error) string {
	if errors.Is(err, broker.ErrAuth) {
		return "listening needs the permission to publish to $JS.API.STREAM.NAMES, $JS.API.CONSUMER.> and $JS.ACK.>, and to subscribe to the inbox: " +
			"give it to this user, or use another (--user, --creds)"
	}
	return ""
}
