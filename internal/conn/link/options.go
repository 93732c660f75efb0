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

// Options say how a broker is reached. [Options.Resolve] fills them from a
// NATS context and from defaults.
type Options struct {
	Servers string // URLs, separated by commas; default [DefaultServer]

	// Learned are the URLs of further servers, which those given told of. They
	// are tried when none of Servers can be reached, each for a second at most.
	Learned []string

	Cluster  string         // ID of the NATS Streaming cluster; default [DefaultCluster]
	ClientID string         // default: random
	Backend  broker.Backend // default [broker.Auto]
	Domain   string         // JetStream domain, for a leaf node's server; default: its own

	// CreateStream makes a stream, as [conn.NewStream] says, for a subject that no
	// stream covers, with so many Replicas (default 1).
	CreateStream bool
	Replicas     int
	MaxBytes     int64 // of a stream that is created, which then takes no more; default no limit

	// Stream is the JetStream stream to use, or to create; default the one that
	// covers the subject. A mirror, or a stream with sources, is found by its name
	// only. NATS Streaming is refused then.
	Stream string

	Auth Auth
	TLS  TLS

	// TrustAdvertised sends passwords and tokens also to servers that a server
	// named; default: only if TLS proves that they have a name that was given.
	TrustAdvertised bool

	InboxPrefix string // for replies; default "_INBOX"

	Timeout time.Duration // for connecting and for each ack; default [DefaultTimeout]

	// Window is how many events may be sent and unanswered; default [DefaultWindow].
	Window int

	// NoReconnect ends the session at the first loss of the connection.
	NoReconnect bool

	// Notify is told, in one line, what befalls the connection. It may be
	// called from several goroutines. Default: nobody is told.
	Notify func(line string)

	// SecretFile is the path of the context that Auth comes from, if the secret
	// stands there.
	SecretFile string

	named string    // the servers that the user named, where Servers are a part of them
	Told  *sync.Map // of guards that follow each other: host and port of which one told
}

// The defaults of Options.
const (
	DefaultServer  = "nats://127.0.0.1:4222"
	DefaultCluster = "ticketing"
	DefaultTimeout = 5 * time.Second

	// DefaultWindow was chosen by measurement: larger ones bring hardly more
	// events per second, and leave more in doubt when a broker goes away.
	DefaultWindow = 2048
)

// Auth holds credentials of one kind: user and password, or a token, or the
// path of a credentials file, or that of a nkey seed, or a user JWT and seed.
// A user without a password may be a token, as for the nats CLI. A token beside
// credentials of another kind is sent with them, as the nats CLI does.
type Auth struct {
	User, Password string
	Token          string
	Creds          string // path
	NKey           string // path
	UserJWT        string
	UserSeed       string
}

// Kind names the kind of credentials that a holds, "" for none.
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

// TLS names the files of a secure connection.
type TLS struct {
	Cert, Key string // the client's certificate and key
	CA        string // who signed the server's certificate; default: the system's authorities
	First     bool   // handshake before the server's greeting
}

// Or fills what o leaves open from lower, which ranks below it. Credentials of
// another kind than those of o are not mixed in, and those in the URLs of o rank
// above all of lower's; those in URLs rank below all others of the same Options.
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
	return o
}

// mayHave reports whether credentials that rank lower count beside those in the
// URLs of o: where these lack only the password.
func (o Options) mayHave(lower Auth) bool {
	if o.Servers == "" || !strings.Contains(o.Servers, "@") {
		return true
	}
	urls, _ := o.urls() // what is wrong with them is told later
	return lower.Kind() == "user" && slices.ContainsFunc(urls, func(u *url.URL) bool {
		_, complete := u.User.Password()
		return u.User != nil && !complete && lower.Password != "" && (lower.User == "" || lower.User == u.User.Username())
	})
}

// checkJetStream returns an error that wraps [broker.ErrName] if the names that o has
// for JetStream are none.
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
