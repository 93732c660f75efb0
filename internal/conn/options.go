package conn

import "time"

// Options say how a broker is reached. [Options.Resolve] fills them from a
// NATS context and from defaults.
type Options struct {
	Servers string // URLs, separated by commas; default [DefaultServer]

	// Learned are the URLs of further servers, which those given told of. They
	// are tried when none of Servers can be reached, each for a second at most.
	Learned []string

	Cluster  string  // ID of the NATS Streaming cluster; default [DefaultCluster]
	ClientID string  // default: random
	Backend  Backend // default [Auto]
	Domain   string  // JetStream domain, for a leaf node's server; default: its own

	// CreateStream makes a stream, as [NewStream] says, for a subject that no
	// stream covers, with so many Replicas (default 1).
	CreateStream bool
	Replicas     int
	MaxBytes     int64 // of a stream that is created, which then takes no more; default no limit

	// Stream is the JetStream stream to use, or to create; default the one that
	// covers the subject. A mirror, or a stream with sources, is found by its name
	// only. NATS Streaming is refused then.
	Stream string

	Auth        Auth
	TLS         TLS
	InboxPrefix string // for replies; default "_INBOX"

	Timeout time.Duration // for connecting and for each ack; default [DefaultTimeout]

	// Window is how many events may be sent and unanswered; default [DefaultWindow].
	Window int

	// NoReconnect ends the session at the first loss of the connection.
	NoReconnect bool

	// Notify is told, in one line, what befalls the connection. It may be
	// called from several goroutines. Default: nobody is told.
	Notify func(line string)
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
type Auth struct {
	User, Password string
	Token          string
	Creds          string // path
	NKey           string // path
	UserJWT        string
	UserSeed       string
}

// kind names the kind of credentials that a holds, "" for none.
func (a Auth) kind() string {
	switch {
	case a.User != "" || a.Password != "":
		return "user"
	case a.Token != "":
		return "token"
	case a.Creds != "":
		return "creds"
	case a.NKey != "":
		return "nkey"
	case a.UserJWT != "" || a.UserSeed != "":
		return "jwt"
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
// another kind than those of o are not mixed in.
func (o Options) Or(lower Options) Options {
	o.Servers = or(o.Servers, lower.Servers)
	o.Cluster = or(o.Cluster, lower.Cluster)
	o.ClientID = or(o.ClientID, lower.ClientID)
	o.Backend = or(o.Backend, lower.Backend)
	o.Domain = or(o.Domain, lower.Domain)
	o.CreateStream = o.CreateStream || lower.CreateStream
	o.Replicas = or(o.Replicas, lower.Replicas)
	o.MaxBytes = or(o.MaxBytes, lower.MaxBytes)
	o.Stream = or(o.Stream, lower.Stream)
	o.InboxPrefix = or(o.InboxPrefix, lower.InboxPrefix)
	o.Timeout = or(o.Timeout, lower.Timeout)
	o.Window = or(o.Window, lower.Window)
	switch o.Auth.kind() {
	case "":
		o.Auth = lower.Auth
	case "user":
		o.Auth.User = or(o.Auth.User, lower.Auth.User)
		o.Auth.Password = or(o.Auth.Password, lower.Auth.Password)
	}
	o.TLS.Cert = or(o.TLS.Cert, lower.TLS.Cert)
	o.TLS.Key = or(o.TLS.Key, lower.TLS.Key)
	o.TLS.CA = or(o.TLS.CA, lower.TLS.CA)
	o.TLS.First = o.TLS.First || lower.TLS.First
	if o.Notify == nil {
		o.Notify = lower.Notify
	}
	return o
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value != zero {
		return value
	}
	return otherwise
}

var defaults = Options{
	Servers:  DefaultServer,
	Cluster:  DefaultCluster,
	Backend:  Auto,
	Replicas: 1,
	Timeout:  DefaultTimeout,
	Window:   DefaultWindow,
	Notify:   func(string) {},
}
