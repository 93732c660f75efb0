package link

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"nats-test/internal/conn/broker"
)

// Options describe how a broker is reached. [Options.Or] fills in what is missing from a
// NATS context and from defaults.
type Options struct {
	Servers string // URLs, separated by commas; default [DefaultServer]

	// Learned are the URLs of further servers that were advertised by those given.
	// They are tried when none of Servers can be reached, each for at most a second.
	Learned []string

	Cluster  string         // ID of the NATS Streaming cluster; default [DefaultCluster]
	ClientID string         // default: random
	Backend  broker.Backend // default [broker.Auto]
	Domain   string         // JetStream domain, for a leaf node's server; default: its own

	// CreateStream creates a stream, as described by [conn.NewStream], for a subject
	// that no stream covers, with the given number of Replicas (default 1).
	CreateStream bool
	Replicas     int
	MaxBytes     int64 // of a created stream, which refuses events beyond it; default no limit

	// Stream is the JetStream stream to use, or to create; default the one that
	// covers the subject. Mirrors and streams with sources can be used only by name.
	// NATS Streaming does not support it.
	Stream string

	Auth Auth
	TLS  TLS

	// TrustAdvertised sends passwords and tokens also to servers that were advertised
	// by another; default: only if their certificate is for a name that was given.
	TrustAdvertised bool

	InboxPrefix string // prefix of reply subjects; default "_INBOX"

	Timeout time.Duration // for connecting and for each ack; default [DefaultTimeout]

	// Window is the maximum number of unacked published events; default
	// [DefaultWindow].
	Window int

	// NoReconnect ends the session when the connection is lost.
	NoReconnect bool

	// Notify receives one-line status messages about the connection. It may be called
	// from several goroutines. Default: they are dropped.
	Notify func(line string)

	// NotifyError receives errors that don't end the session, for which a hint may be
	// known. Default: Notify gets their text.
	NotifyError func(err error)

	// SecretFile is the path of the NATS context, if the secret in Auth is stored
	// there.
	SecretFile string

	named string    // all servers that the user named, if Servers is a part of them
	Told  *sync.Map // "host:port" of the untrusted servers already reported, shared by the guards of successive links
}

// The defaults of Options.
const (
	DefaultServer  = "nats://127.0.0.1:4222"
	DefaultCluster = "ticketing"
	DefaultTimeout = 5 * time.Second

	// DefaultWindow was chosen by measurement: a larger one hardly increases the
	// rate, and leaves more events in doubt when the broker is lost.
	DefaultWindow = 2048
)

// Auth holds credentials of one kind: user and password, a token, the path of a
// credentials file, the path of an nkey seed, or a user JWT and its seed. As in the nats
// CLI, a user without a password may be a token, and a token is sent in addition to
// credentials of another kind.
type Auth struct {
	User, Password string
	Token          string
	Creds          string // path
	NKey           string // path
	UserJWT        string
	UserSeed       string
}

// Kind returns the kind of the credentials, "" for none.
func (a Auth) Kind() string {
	switch {
	case a.User != "" || a.Password != "":
		return "user"
	case a.Creds != "":
		return "creds"
	case a.NKey != "":
		return "nkey"
	case a.UserJWT != "" || a.UserSeed != "":
		return "jwt"
	case a.Token != "":
		return "token"
	}
	return ""
}

// TLS holds the files for a secure connection.
type TLS struct {
	Cert, Key string // the client's certificate and key
	CA        string // authority of the server's certificate; default: the system's authorities
	First     bool   // the handshake precedes the server's greeting
}

// Or returns o with its missing fields taken from lower, which ranks below it.
// Credentials of different kinds are not mixed. Credentials in the URLs of o outrank
// those of lower, but rank below the others of o.
func (o Options) Or(lower Options) Options {
	switch o.Auth.Kind() {
	case "":
		if o.mayHave(lower.Auth) {
			o.Auth, o.SecretFile = lower.Auth, lower.SecretFile
		}
	case "user":
		o.Auth.User = cmp.Or(o.Auth.User, lower.Auth.User)
		if o.Auth.Password == "" && lower.Auth.Password != "" {
			o.Auth.Password, o.SecretFile = lower.Auth.Password, lower.SecretFile
		}
	}
	o.Servers = cmp.Or(o.Servers, lower.Servers)
	o.Cluster = cmp.Or(o.Cluster, lower.Cluster)
	o.ClientID = cmp.Or(o.ClientID, lower.ClientID)
	o.Backend = cmp.Or(o.Backend, lower.Backend)
	o.Domain = cmp.Or(o.Domain, lower.Domain)
	o.CreateStream = o.CreateStream || lower.CreateStream
	o.Replicas = cmp.Or(o.Replicas, lower.Replicas)
	o.MaxBytes = cmp.Or(o.MaxBytes, lower.MaxBytes)
	o.Stream = cmp.Or(o.Stream, lower.Stream)
	o.InboxPrefix = cmp.Or(o.InboxPrefix, lower.InboxPrefix)
	o.Timeout = cmp.Or(o.Timeout, lower.Timeout)
	o.Window = cmp.Or(o.Window, lower.Window)
	o.TrustAdvertised = o.TrustAdvertised || lower.TrustAdvertised
	o.TLS.Cert = cmp.Or(o.TLS.Cert, lower.TLS.Cert)
	o.TLS.Key = cmp.Or(o.TLS.Key, lower.TLS.Key)
	o.TLS.CA = cmp.Or(o.TLS.CA, lower.TLS.CA)
	o.TLS.First = o.TLS.First || lower.TLS.First
	if o.Notify == nil {
		o.Notify = lower.Notify
	}
	if o.NotifyError == nil {
		o.NotifyError = lower.NotifyError
	}
	return o
}

// Warn passes err to NotifyError, or its text to Notify.
func (o Options) Warn(err error) {
	if o.NotifyError != nil {
		o.NotifyError(err)
		return
	}
	o.Notify(err.Error())
}

// mayHave reports whether credentials of lower rank are used beside those in the URLs of
// o: only if those lack the password.
func (o Options) mayHave(lower Auth) bool {
	if o.Servers == "" || !strings.Contains(o.Servers, "@") {
		return true
	}
	urls, _ := o.urls() // their errors are reported later
	return lower.Kind() == "user" && slices.ContainsFunc(urls, func(u *url.URL) bool {
		_, complete := u.User.Password()
		return u.User != nil && !complete && lower.Password != "" && (lower.User == "" || lower.User == u.User.Username())
	})
}

// checkJetStream returns an error that wraps [broker.ErrName] if a name in o is not legal
// for JetStream.
func (o Options) checkJetStream() error {
	for _, named := range [][2]string{{"stream", o.Stream}, {"domain", o.Domain}} {
		what, name := named[0], named[1]
		if err := broker.CheckPlain(what, name); err != nil {
			return err
		}
		if strings.ContainsAny(name, `./\`) {
			return fmt.Errorf("%s %s: %w: JetStream allows no . / \\ in it", what, broker.Clip(name), broker.ErrName)
		}
	}
	if o.InboxPrefix != "" {
		if err := broker.CheckSubject(o.InboxPrefix); err != nil {
			return broker.Because(broker.ErrConfig, fmt.Errorf("inbox prefix: %w", err))
		}
	}
	return nil
}

var Defaults = Options{
	Servers:  DefaultServer,
	Cluster:  DefaultCluster,
	Backend:  broker.Auto,
	Replicas: 1,
	Timeout:  DefaultTimeout,
	Window:   DefaultWindow,
	Notify:   func(string) {},
}
