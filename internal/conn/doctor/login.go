package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/conn/link/wire"
)

// A handshake holds what is known about a server before the log-in.
type handshake struct {
	options  link.Options
	url      *url.URL
	local    bool // the connection uses the loopback interface
	known    bool // its greeting was read
	greeting wire.Greeting
}

// logIn connects with nats.go as any command does, and reports on TLS handshake and log-in.
func (d *diagnosing) logIn(ctx context.Context, h handshake) *link.Link {
	var secured *tls.ConnectionState
	watch := func(o *nats.Options) error {
		o.IgnoreDiscoveredServers = true // check this server only
		if o.TLSConfig == nil {          // a WebSocket without TLS
			return nil
		}
		o.TLSConfig.VerifyConnection = func(s tls.ConnectionState) error {
			secured = &s
			return nil
		}
		return nil
	}
	l, err := link.New(ctx, h.options, watch)
	if ctx.Err() != nil {
		if l != nil {
			l.Abandon()
		}
		return nil
	}
	switch {
	case err != nil && errors.Is(err, broker.ErrTLS):
		d.fault(h.insecure(err, secured))
		return nil
	case secured != nil:
		d.found(StepTLS, StateOK, "TLS ok", "%s, %s", tls.VersionName(secured.Version), certificate(secured.PeerCertificates, time.Now()))
	case err == nil || errors.Is(err, broker.ErrAuth):
		d.notEncrypted(h)
	}
	if err == nil && !h.known {
		h.greeting = wire.Greeting{
			ServerID: l.NC.ConnectedServerId(), Name: l.NC.ConnectedServerName(),
			Version: l.NC.ConnectedServerVersion(), Cluster: l.NC.ConnectedClusterName(), AuthRequired: l.NC.AuthRequired(),
		}
		d.greeted(h.greeting)
	}
	what := presented(h.options.Auth, h.url)
	if err == nil && secured == nil {
		d.unnamed(h, l.Trust)
	}
	switch {
	case err != nil:
		d.fault(h.refusal(what, err))
		return nil
	case what != "" && h.greeting.AuthRequired:
		d.found(StepAuth, StateOK, "auth ok", "%s: accepted", what)
	case what != "":
		d.found(StepAuth, StateOK, "auth ok", "%s, which the server did not ask for", what)
	default:
		d.found(StepAuth, StateOK, "auth ok", "no credentials, and the server lets us in")
	}
	return l
}

// notEncrypted reports a connection without TLS, and warns if a secret was sent over it.
func (d *diagnosing) notEncrypted(h handshake) {
	const why = "the connection is not encrypted: neither side asked for that"
	if h.local || !h.options.Reveals() {
		d.found(StepTLS, StateNone, "", why)
		return
	}
	d.tell(Finding{Step: StepTLS, State: StateNote, What: why + ", and the password or token goes over the network as it is",
		Hint: "give the server a tls block, and name it with tls://"})
}

// unnamed warns if other servers of the cluster would not get the secret, so that losing
// this server means waiting for it.
func (d *diagnosing) unnamed(h handshake, g *link.Guard) {
	if !g.Secret {
		return
	}
	const most = 3
	var others []string
	for _, o := range h.greeting.Others {
		if !g.Trusts(o) {
			others = append(others, wire.ClipWord(o))
		}
	}
	if len(others) > most {
		others = append(others[:most], "others")
	}
	if len(others) > 0 {
		d.tell(Finding{Step: StepAuth, State: StateNote,
			What: "the server names " + strings.Join(others, ", ") + ", and no password or token is sent there when this one is lost: you did not name them, and without TLS they can't prove who they are",
			Hint: "name the cluster's servers, too (--server URL,URL), or allow it with --trust-advertised (NATS_TRUST_ADVERTISED=1), or use TLS"})
	}
}

// userAlone describes credentials that most servers refuse.
const userAlone = "a user without a password, taken for a token, too"

// presented describes the credentials that are sent, without a secret. The URL's rank
// first, and a user without a password is sent as a token (nats.go, connectProto).
func presented(a link.Auth, u *url.URL) string {
	if u.User != nil && a.Kind() == "" {
		if _, ok := u.User.Password(); ok {
			return fmt.Sprintf("user %s with the password in the URL", broker.Clip(u.User.Username()))
		}
		return "the token in the URL"
	}
	switch a.Kind() {
	case "user":
		if u.User != nil {
			a.User = u.User.Username()
			a.Password, _ = u.User.Password()
		}
		if a.Password == "" { // it may be a token, which is not shown
			return userAlone
		}
		if a.User == "" {
			return link.PasswordAlone
		}
		return fmt.Sprintf("user %s with a password", broker.Clip(a.User))
	case "token":
		return "a token"
	case "creds":
		return "the credentials in " + a.Creds
	case "nkey":
		return "the nkey in " + a.NKey
	case "jwt":
		return "the user JWT of the context"
	}
	return ""
}

// refusal explains a failed log-in.
func (h handshake) refusal(what string, err error) Finding {
	f := Finding{Step: StepAuth, Err: err}
	switch {
	case !h.known && !errors.Is(err, broker.ErrAuth):
		f.Step, f.Short, f.What = StepNATS, "not NATS", "it does not answer as a NATS server would: "+words(err)
	case errors.Is(err, broker.ErrExpired):
		f.Short, f.What = "auth expired", what+": "+words(err)
	case errors.Is(err, broker.ErrAuth) && what == "":
		f.Short, f.What = "auth missing", "no credentials were given, and the server asks for them: "+words(err)
	case errors.Is(err, broker.ErrAuth):
		f.Short, f.What = "auth refused", what+": refused: "+words(err)
		first := "check " + what
		switch what {
		case userAlone:
			first = "give the user's password, too (NATS_PASSWORD), or check the token"
		case link.PasswordAlone: // the error says so
			f.What = "refused: " + words(err)
			first = "give the user, too (--user, NATS_USER)"
		}
		f.Hint = first + ": what is sent comes from a flag, the environment (NATS_USER, NATS_PASSWORD, NATS_TOKEN, NATS_CREDS, NATS_NKEY), " +
			"a NATS context or the URL, the first that says something"
	case errors.Is(err, broker.ErrHung):
		f.Short, f.What = "log-in without an answer", "the server does not answer to the log-in: "+words(err)
	default:
		f.Short, f.What = "log-in failed", "the log-in failed: "+words(err)
	}
	return f
}

// insecure explains a failed TLS handshake, or what follows it: with TLS 1.3, the server
// checks the client's certificate after the handshake.
func (h handshake) insecure(err error, secured *tls.ConnectionState) Finding {
	f := Finding{Step: StepTLS, Short: "TLS failed", What: words(err), Err: err}
	var (
		verify    *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
	)
	shown := ""
	if errors.As(err, &verify) {
		shown = certificate(verify.UnverifiedCertificates, time.Now())
	}
	switch {
	case errors.Is(err, nats.ErrSecureConnWanted):
		f.What = "the server offers no TLS, and tls://, --tlsca or --tlscert asks for it"
		f.Hint = "use nats:// without --tlsca and --tlscert (NATS_CA, NATS_CERT), or give the server a tls block"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		f.Short, f.What = "TLS certificate out of date", "the server's "+shown
		f.Hint = "renew the server's certificate, or set this machine's clock"
	case errors.As(err, &hostname):
		f.Short = "TLS certificate of another host"
		f.What = fmt.Sprintf("the server's %s; it is for %s, not for %s", shown, link.NamesOf(hostname.Certificate), broker.Clip(hostname.Host))
		f.Hint = "name the server as its certificate does (--server), or have one issued for this name"
	case errors.As(err, &authority):
		f.Short = "TLS authority unknown"
		f.What = "the server's " + shown + "; that authority is not trusted here"
		f.Hint = "name the file with its authority: --tlsca FILE (NATS_CA)"
	case errors.As(err, &record):
		f.What = "the server does not begin with a TLS handshake"
		f.Hint = "leave tls_first out of the NATS context, or tls:// or wss:// out of the URL"
	case secured != nil && h.options.TLS.Cert == "":
		f.Short, f.What = "TLS client certificate missing", "the server asks for a client certificate, and none was given: "+words(err)
		f.Hint = "give yours: --tlscert FILE --tlskey FILE (NATS_CERT, NATS_KEY)"
	case secured != nil:
		f.Short, f.What = "TLS client certificate refused", "the server refuses the client certificate in "+h.options.TLS.Cert+": "+words(err)
		f.Hint = "check its dates and its authority: --tlscert, --tlskey (NATS_CERT, NATS_KEY)"
	}
	return f
}

// soonExpired is the remaining time at which an expiring certificate is reported.
const soonExpired = 30 * 24 * time.Hour

// certificate describes the first certificate of chain, the server's.
func certificate(chain []*x509.Certificate, now time.Time) string {
	if len(chain) == 0 {
		return "no certificate"
	}
	c := chain[0]
	until, left := c.NotAfter.Format(time.DateOnly), c.NotAfter.Sub(now)
	end := fmt.Sprintf("ends in %s, on %s", days(left), until)
	switch {
	case now.Before(c.NotBefore):
		end = fmt.Sprintf("begins only in %s, on %s", days(c.NotBefore.Sub(now)), c.NotBefore.Format(time.DateOnly))
	case left < 0:
		end = fmt.Sprintf("ended %s ago, on %s", days(-left), until)
	case left < soonExpired:
		end += ": renew it soon"
	}
	return fmt.Sprintf("certificate %s from %s %s", broker.Clip(c.Subject.String()), broker.Clip(c.Issuer.String()), end)
}

func days(d time.Duration) string {
	switch n := int(math.Floor(d.Hours() / 24)); {
	case n == 1:
		return "1 day"
	case n > 1:
		return fmt.Sprintf("%d days", n)
	}
	return "less than a day"
}
