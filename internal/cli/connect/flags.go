// Package connect turns flags, environment variables and NATS contexts into a
// connection to a broker, and explains why one fails.
//
// The package's rule: [Flags] are unchecked, a [Broker] is checked.
package connect

import (
	"cmp"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"nats-test/internal/cli/console"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/monitor/port"
)

// Flags are the connection flags of both programs.
type Flags struct {
	given   link.Options
	backend string
	context string
	monitor string
}

// Add puts the flags on a root command.
func (f *Flags) Add(cmd *cobra.Command) {
	set := cmd.PersistentFlags()
	set.VarP(serverList{&f.given.Servers}, "server", "s", "server `URL`s, separated by commas, or the flag several times (NATS_URL; default "+link.DefaultServer+")")
	set.StringVar(&f.given.Cluster, "cluster", "", "`ID` of the NATS Streaming cluster (NATS_CLUSTER_ID; default "+link.DefaultCluster+");\n"+
		"giving one selects NATS Streaming, unless --backend is given")
	set.StringVar(&f.given.Stream, "stream", "", "`NAME` of the JetStream stream (default the one that covers the subject);\n"+
		"mirrors and streams with sources are found by name only")
	set.StringVar(&f.given.Domain, "domain", "", "JetStream domain `NAME`, to reach it through a leaf node (NATS_DOMAIN)")
	set.StringVar(&f.given.ClientID, "client-id", "", "client `ID` (default "+cmd.Name()+"- and random characters)")
	console.AddChoice(cmd, set, &f.backend, "backend", "", "`KIND` of broker: ", string(broker.Auto), string(broker.STAN),
		string(broker.JetStream)+" (NATS_BACKEND; default auto). auto takes NATS Streaming if the\n"+
			"cluster answers, and JetStream only if no NATS Streaming answers and no cluster was given")
	set.StringVar(&f.context, "context", "", "NATS context `NAME`, as the nats CLI keeps them (NATS_CONTEXT)")
	set.StringVar(&f.given.Auth.User, "user", "", "user `NAME`, or a token, where no password is given (NATS_USER)")
	set.StringVar(&f.given.Auth.Password, "password", "", "`PASSWORD`; other users of this machine can see it, but not NATS_PASSWORD")
	set.StringVar(&f.given.Auth.Token, "token", "", "`TOKEN`; other users of this machine can see it, but not NATS_TOKEN")
	set.StringVar(&f.given.Auth.Creds, "creds", "", "credentials `FILE` (NATS_CREDS)")
	set.StringVar(&f.given.Auth.NKey, "nkey", "", "`FILE` with an nkey seed (NATS_NKEY)")
	set.StringVar(&f.given.TLS.Cert, "tlscert", "", "client certificate `FILE` (NATS_CERT)")
	set.StringVar(&f.given.TLS.Key, "tlskey", "", "client certificate's key `FILE` (NATS_KEY)")
	set.StringVar(&f.given.TLS.CA, "tlsca", "", "`FILE` with the CA of the server's certificate, and of an https monitoring port's (NATS_CA)")
	set.BoolVar(&f.given.TrustAdvertised, "trust-advertised", false, "send a password or token also to servers advertised by a server, without TLS\n"+
		"that proves a name you gave (NATS_TRUST_ADVERTISED=1)")
	set.StringVar(&f.given.InboxPrefix, "inbox-prefix", "", "`PREFIX` of reply subjects, if permissions require one\n(NATS_INBOX_PREFIX; default _INBOX)")
	set.DurationVar(&f.given.Timeout, "timeout", 0, "time limit for connecting, for each reply, and for a pause between acks (NATS_TIMEOUT; default 5s)")
	set.StringVar(&f.monitor, "monitor", "", "`URL` of the monitoring port (NATS_MONITOR_URL; default port 8222 of the server's host)")
	set.SortFlags = false
}

// AddStream adds the flags that create a missing stream to cmd.
func (f *Flags) AddStream(cmd *cobra.Command) {
	set := cmd.Flags()
	set.BoolVar(&f.given.CreateStream, "create-stream", false, "create a JetStream stream for a subject that no stream covers:\n"+
		"file storage, limits retention without limits, a duplicate window of 2 minutes")
	set.IntVar(&f.given.Replicas, "replicas", 1, "with --create-stream: keep `N` replicas")
	set.Var((*byteSize)(&f.given.MaxBytes), "max-bytes", "with --create-stream: limit of `SIZE` bytes, such as 10MB or 1GiB; a full stream accepts no more (default no limit)")
}

// Resolve checks the flags, and applies the precedence of flag, environment and
// context.
func (f *Flags) Resolve(s *console.System, cmd *cobra.Command) (*Broker, error) {
	for _, first := range []string{"user", "password"} {
		if err := console.Exclusive(cmd, first, "token", "creds", "nkey"); err != nil {
			return nil, err
		}
	}
	f.given.Backend = broker.Backend(cmp.Or(f.backend, s.Getenv("NATS_BACKEND")))
	if err := console.CheckEnv(cmd, "backend", "NATS_BACKEND", string(f.given.Backend)); err != nil {
		return nil, err
	}
	for _, how := range []string{"replicas", "max-bytes"} {
		if cmd.Flags().Changed(how) && !f.given.CreateStream {
			return nil, console.Usage(cmd, "--%s needs --create-stream", how)
		}
	}
	if cmd.Flags().Changed("replicas") && (f.given.Replicas < 1 || f.given.Replicas > 5) {
		return nil, console.Usage(cmd, "--replicas %d: must be from 1 to 5", f.given.Replicas)
	}
	if cmd.Flags().Changed("timeout") && f.given.Timeout <= 0 {
		return nil, console.Usage(cmd, "--timeout %v: must be more than 0", f.given.Timeout)
	}
	if cmd.Flags().Changed("client-id") {
		if err := broker.CheckClientID(f.given.ClientID); err != nil {
			return nil, err
		}
	}
	env, err := environment(s, cmd)
	if err != nil {
		return nil, err
	}
	r := &Broker{Options: f.given.Or(env), clusterGiven: cmd.Flags().Changed("cluster"), ClientIDGiven: f.given.ClientID != ""}
	for _, path := range []*string{&r.Options.Auth.Creds, &r.Options.Auth.NKey, &r.Options.TLS.Cert, &r.Options.TLS.Key, &r.Options.TLS.CA} {
		*path = s.Path(*path)
	}
	if name := cmp.Or(f.context, s.Getenv("NATS_CONTEXT")); name != "" {
		lower, err := link.FromContext(name, s.Getenv)
		if err != nil {
			return nil, err
		}
		r.Options = r.Options.Or(lower)
	}
	// JetStream has no cluster ID. A cluster in a flag overrides "auto" in the
	// environment.
	outranked := r.clusterGiven && f.backend == "" && r.Options.Backend == broker.Auto
	if r.Options.Cluster != "" && (r.Options.Backend == "" || outranked) {
		r.Options.Backend = broker.STAN
	}
	r.monitor = cmp.Or(f.monitor, s.Getenv("NATS_MONITOR_URL"))
	if r.monitor != "" && !port.IsURL(r.monitor) {
		return nil, console.Usage(cmd, "--monitor (NATS_MONITOR_URL): must be a URL, such as http://127.0.0.1:8222 (in a user or password, / ? # and @ are %%-encoded)")
	}
	t := r.Options.TLS
	cmd.SetContext(port.WithTLS(cmd.Context(), port.TLS{CA: t.CA, Cert: t.Cert, Key: t.Key}))
	return r, nil
}

// environment reads the variables that correspond to flags.
func environment(s *console.System, cmd *cobra.Command) (link.Options, error) {
	env := link.Options{
		Servers: s.Getenv("NATS_URL"),
		Cluster: s.Getenv("NATS_CLUSTER_ID"),
		Auth: link.Auth{
			User: s.Secret("NATS_USER"), Password: s.Secret("NATS_PASSWORD"), Token: s.Secret("NATS_TOKEN"),
			Creds: s.Getenv("NATS_CREDS"), NKey: s.Getenv("NATS_NKEY"),
		},
		TLS:         link.TLS{Cert: s.Getenv("NATS_CERT"), Key: s.Getenv("NATS_KEY"), CA: s.Getenv("NATS_CA")},
		Domain:      s.Getenv("NATS_DOMAIN"),
		InboxPrefix: s.Getenv("NATS_INBOX_PREFIX"),
	}
	if text := s.Getenv("NATS_TRUST_ADVERTISED"); text != "" {
		yes, err := strconv.ParseBool(text)
		if err != nil {
			return env, console.Usage(cmd, "NATS_TRUST_ADVERTISED=%q: must be true or false", text)
		}
		env.TrustAdvertised = yes
	}
	if text := s.Getenv("NATS_TIMEOUT"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return env, console.Usage(cmd, "NATS_TIMEOUT=%q: must be a duration of more than 0, such as 5s", text)
		}
		env.Timeout = d
	}
	return env, nil
}

// A serverList is the value of --server, to which each further --server adds.
type serverList struct{ list *string }

func (l serverList) String() string {
	if l.list == nil {
		return ""
	}
	return *l.list
}

func (serverList) Type() string { return "string" }

func (l serverList) Set(urls string) error {
	if *l.list != "" {
		urls = *l.list + "," + urls
	}
	*l.list = urls
	return nil
}
