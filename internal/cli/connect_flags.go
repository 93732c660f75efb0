package cli

import (
	"cmp"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"nats-test/internal/conn"
	"nats-test/internal/monitor/port"
)

// brokerFlags are the flags of both programs that say how a broker is reached.
type brokerFlags struct {
	given   conn.Options
	backend string
	context string
	monitor string
}

// add puts the flags on a root command.
func (b *brokerFlags) add(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.VarP(serverList{&b.given.Servers}, "server", "s", "server `URL`s, separated by commas, or the flag several times (NATS_URL; default "+conn.DefaultServer+")")
	f.StringVar(&b.given.Cluster, "cluster", "", "`ID` of the NATS Streaming cluster (NATS_CLUSTER_ID; default "+conn.DefaultCluster+");\n"+
		"giving one selects NATS Streaming, unless --backend is given")
	f.StringVar(&b.given.Stream, "stream", "", "`NAME` of the JetStream stream (default the one that covers the subject);\n"+
		"mirrors and streams with sources are found by name only")
	f.StringVar(&b.given.Domain, "domain", "", "JetStream domain `NAME`, to reach it through a leaf node (NATS_DOMAIN)")
	f.StringVar(&b.given.ClientID, "client-id", "", "client `ID` (default "+cmd.Name()+"- and random characters)")
	addChoice(cmd, f, &b.backend, "backend", "", "`KIND` of broker: ", string(conn.Auto), string(conn.STAN),
		string(conn.JetStream)+" (NATS_BACKEND; default auto). auto takes NATS Streaming where the\n"+
			"cluster answers; JetStream only where no NATS Streaming answers and none was asked for")
	f.StringVar(&b.context, "context", "", "NATS context `NAME`, as the nats CLI keeps them (NATS_CONTEXT)")
	f.StringVar(&b.given.Auth.User, "user", "", "user `NAME`, or a token, where no password is given (NATS_USER)")
	f.StringVar(&b.given.Auth.Password, "password", "", "`PASSWORD`; others on this machine can see it, NATS_PASSWORD they can't")
	f.StringVar(&b.given.Auth.Token, "token", "", "`TOKEN`; as with --password, rather NATS_TOKEN")
	f.StringVar(&b.given.Auth.Creds, "creds", "", "credentials `FILE` (NATS_CREDS)")
	f.StringVar(&b.given.Auth.NKey, "nkey", "", "`FILE` with a nkey seed (NATS_NKEY)")
	f.StringVar(&b.given.TLS.Cert, "tlscert", "", "client certificate `FILE` (NATS_CERT)")
	f.StringVar(&b.given.TLS.Key, "tlskey", "", "client certificate's key `FILE` (NATS_KEY)")
	f.StringVar(&b.given.TLS.CA, "tlsca", "", "`FILE` with the authority of the server's certificate, and of an https monitoring port's (NATS_CA)")
	f.BoolVar(&b.given.TrustAdvertised, "trust-advertised", false, "send a password or token also to servers that only a server named, without TLS\n"+
		"that proves a name of yours (NATS_TRUST_ADVERTISED=1)")
	f.StringVar(&b.given.InboxPrefix, "inbox-prefix", "", "`PREFIX` of the subjects of answers, where permissions ask for it\n(NATS_INBOX_PREFIX; default _INBOX)")
	f.DurationVar(&b.given.Timeout, "timeout", 0, "for connecting, for each answer, and while no ack comes (NATS_TIMEOUT; default 5s)")
	f.StringVar(&b.monitor, "monitor", "", "`URL` of the monitoring port (NATS_MONITOR_URL; default port 8222 of the server's host)")
	f.SortFlags = false
}

// addStreamFlags puts the flags on cmd that say what to do without a stream.
func (b *brokerFlags) addStream(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&b.given.CreateStream, "create-stream", false, "make a JetStream stream of its own for a subject that no stream covers:\n"+
		"file storage, limits retention without limits, repeats known for 2 minutes")
	f.IntVar(&b.given.Replicas, "replicas", 1, "with --create-stream: on so many servers, `N`")
	f.Var((*byteSize)(&b.given.MaxBytes), "max-bytes", "with --create-stream: at most `SIZE` bytes, such as 10MB or 1GiB; then it takes no more (default none)")
}

// resolve checks the flags and ranks them: flag, environment, context.
func (b *brokerFlags) resolve(s *System, cmd *cobra.Command) (*broker, error) {
	for _, first := range []string{"user", "password"} {
		if err := exclusive(cmd, first, "token", "creds", "nkey"); err != nil {
			return nil, err
		}
	}
	b.given.Backend = conn.Backend(cmp.Or(b.backend, s.Getenv("NATS_BACKEND")))
	if err := checkEnv(cmd, "backend", "NATS_BACKEND", string(b.given.Backend)); err != nil {
		return nil, err
	}
	for _, how := range []string{"replicas", "max-bytes"} {
		if cmd.Flags().Changed(how) && !b.given.CreateStream {
			return nil, usage(cmd, "--%s says how --create-stream makes a stream: give both", how)
		}
	}
	if cmd.Flags().Changed("replicas") && (b.given.Replicas < 1 || b.given.Replicas > 5) {
		return nil, usage(cmd, "--replicas %d: must be from 1 to 5", b.given.Replicas)
	}
	if cmd.Flags().Changed("timeout") && b.given.Timeout <= 0 {
		return nil, usage(cmd, "--timeout %v: must be more than 0", b.given.Timeout)
	}
	if cmd.Flags().Changed("client-id") {
		if err := conn.CheckClientID(b.given.ClientID); err != nil {
			return nil, err
		}
	}
	env, err := environment(s, cmd)
	if err != nil {
		return nil, err
	}
	r := &broker{options: b.given.Or(env), clusterGiven: cmd.Flags().Changed("cluster"), clientIDGiven: b.given.ClientID != ""}
	for _, path := range []*string{&r.options.Auth.Creds, &r.options.Auth.NKey, &r.options.TLS.Cert, &r.options.TLS.Key, &r.options.TLS.CA} {
		*path = s.path(*path)
	}
	if name := cmp.Or(b.context, s.Getenv("NATS_CONTEXT")); name != "" {
		lower, err := conn.FromContext(name, s.Getenv)
		if err != nil {
			return nil, err
		}
		r.options = r.options.Or(lower)
	}
	// JetStream has none. A cluster in a flag outranks "auto" in the environment.
	outranked := r.clusterGiven && b.backend == "" && r.options.Backend == conn.Auto
	if r.options.Cluster != "" && (r.options.Backend == "" || outranked) {
		r.options.Backend = conn.STAN
	}
	r.monitor = cmp.Or(b.monitor, s.Getenv("NATS_MONITOR_URL"))
	if r.monitor != "" && !port.IsURL(r.monitor) {
		return nil, usage(cmd, "--monitor (NATS_MONITOR_URL): must be a URL, such as http://127.0.0.1:8222 (in a user or password, / ? # and @ are %%-encoded)")
	}
	t := r.options.TLS
	cmd.SetContext(port.WithTLS(cmd.Context(), port.TLS{CA: t.CA, Cert: t.Cert, Key: t.Key}))
	return r, nil
}

// environment reads the variables that stand for flags.
func environment(s *System, cmd *cobra.Command) (conn.Options, error) {
	env := conn.Options{
		Servers: s.Getenv("NATS_URL"),
		Cluster: s.Getenv("NATS_CLUSTER_ID"),
		Auth: conn.Auth{
			User: s.secret("NATS_USER"), Password: s.secret("NATS_PASSWORD"), Token: s.secret("NATS_TOKEN"),
			Creds: s.Getenv("NATS_CREDS"), NKey: s.Getenv("NATS_NKEY"),
		},
		TLS:         conn.TLS{Cert: s.Getenv("NATS_CERT"), Key: s.Getenv("NATS_KEY"), CA: s.Getenv("NATS_CA")},
		Domain:      s.Getenv("NATS_DOMAIN"),
		InboxPrefix: s.Getenv("NATS_INBOX_PREFIX"),
	}
	if text := s.Getenv("NATS_TRUST_ADVERTISED"); text != "" {
		yes, err := strconv.ParseBool(text)
		if err != nil {
			return env, usage(cmd, "NATS_TRUST_ADVERTISED=%q: must be true or false", text)
		}
		env.TrustAdvertised = yes
	}
	if text := s.Getenv("NATS_TIMEOUT"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return env, usage(cmd, "NATS_TIMEOUT=%q: must be a duration of more than 0, such as 5s", text)
		}
		env.Timeout = d
	}
	return env, nil
}

// A serverList is the value of --server: given several times, each adds to it.
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
