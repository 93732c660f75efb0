package cli

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/monitor/port"
)

// connection holds the flags that both programs share.
type connection struct {
	flags   link.Options
	backend string
	context string
	monitor string
	color   string
	quiet   bool

	clusterGiven bool
	options      link.Options // flags, environment and context together
}

// addFlags puts the shared flags on a root command.
func (c *connection) addFlags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.VarP(serverList{&c.flags.Servers}, "server", "s", "server `URL`s, separated by commas, or the flag several times (NATS_URL; default "+link.DefaultServer+")")
	f.StringVar(&c.flags.Cluster, "cluster", "", "`ID` of the NATS Streaming cluster (NATS_CLUSTER_ID; default "+link.DefaultCluster+");\n"+
		"giving one selects NATS Streaming, unless --backend is given")
	f.StringVar(&c.flags.Stream, "stream", "", "`NAME` of the JetStream stream (default the one that covers the subject);\n"+
		"mirrors and streams with sources are found by name only")
	f.StringVar(&c.flags.Domain, "domain", "", "JetStream domain `NAME`, to reach it through a leaf node (NATS_DOMAIN)")
	f.StringVar(&c.flags.ClientID, "client-id", "", "client `ID` (default "+cmd.Name()+"- and random characters)")
	f.StringVar(&c.backend, "backend", "", "`KIND` of broker: auto, stan or jetstream (NATS_BACKEND; default auto). auto takes NATS Streaming where the\n"+
		"cluster answers; JetStream only where no NATS Streaming answers and none was asked for")
	f.StringVar(&c.context, "context", "", "NATS context `NAME`, as the nats CLI keeps them (NATS_CONTEXT)")
	f.StringVar(&c.flags.Auth.User, "user", "", "user `NAME`, or a token, where no password is given (NATS_USER)")
	f.StringVar(&c.flags.Auth.Password, "password", "", "`PASSWORD`; others on this machine can see it, NATS_PASSWORD they can't")
	f.StringVar(&c.flags.Auth.Token, "token", "", "`TOKEN`; as with --password, rather NATS_TOKEN")
	f.StringVar(&c.flags.Auth.Creds, "creds", "", "credentials `FILE` (NATS_CREDS)")
	f.StringVar(&c.flags.Auth.NKey, "nkey", "", "`FILE` with a nkey seed (NATS_NKEY)")
	f.StringVar(&c.flags.TLS.Cert, "tlscert", "", "client certificate `FILE` (NATS_CERT)")
	f.StringVar(&c.flags.TLS.Key, "tlskey", "", "client certificate's key `FILE` (NATS_KEY)")
	f.StringVar(&c.flags.TLS.CA, "tlsca", "", "`FILE` with the authority of the server's certificate, and of an https monitoring port's (NATS_CA)")
	f.BoolVar(&c.flags.TrustAdvertised, "trust-advertised", false, "send a password or token also to servers that only a server named, without TLS\n"+
		"that proves a name of yours (NATS_TRUST_ADVERTISED=1)")
	f.StringVar(&c.flags.InboxPrefix, "inbox-prefix", "", "`PREFIX` of the subjects of answers, where permissions ask for it\n(NATS_INBOX_PREFIX; default _INBOX)")
	f.DurationVar(&c.flags.Timeout, "timeout", 0, "for connecting, for each answer, and while no ack comes (NATS_TIMEOUT; default 5s)")
	f.StringVar(&c.monitor, "monitor", "", "`URL` of the monitoring port (NATS_MONITOR_URL; default port 8222 of the server's host)")
	f.StringVar(&c.color, "color", "auto", "colour: auto, always or never (NO_COLOR turns auto off)")
	f.BoolVarP(&c.quiet, "quiet", "q", false, "errors and warnings only on stderr")
	f.SortFlags = false
	complete(cmd, "color", "auto", "always", "never")
	complete(cmd, "backend", string(broker.Auto), string(broker.STAN), string(broker.JetStream))
}

// addStreamFlags puts the flags on cmd that say what to do without a stream.
func (c *connection) addStreamFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&c.flags.CreateStream, "create-stream", false, "make a JetStream stream of its own for a subject that no stream covers:\n"+
		"file storage, limits retention without limits, repeats known for 2 minutes")
	f.IntVar(&c.flags.Replicas, "replicas", 1, "with --create-stream: on so many servers, `N`")
	f.Var((*byteSize)(&c.flags.MaxBytes), "max-bytes", "with --create-stream: at most `SIZE` bytes, such as 10MB or 1GiB; then it takes no more (default none)")
}

// resolve checks the shared flags and ranks them: flag, environment, context.
func (c *connection) resolve(s *System, cmd *cobra.Command) error {
	if c.color != "auto" && c.color != "always" && c.color != "never" {
		return usage(cmd, "--color %q: must be auto, always or never", c.color)
	}
	for _, first := range []string{"user", "password"} {
		if err := exclusive(cmd, first, "token", "creds", "nkey"); err != nil {
			return err
		}
	}
	c.flags.Backend = broker.Backend(firstOf(c.backend, s.Getenv("NATS_BACKEND")))
	switch c.flags.Backend {
	case "", broker.Auto, broker.STAN, broker.JetStream:
	default:
		return usage(cmd, "--backend %q (NATS_BACKEND): must be auto, stan or jetstream", c.flags.Backend)
	}
	for _, how := range []string{"replicas", "max-bytes"} {
		if cmd.Flags().Changed(how) && !c.flags.CreateStream {
			return usage(cmd, "--%s says how --create-stream makes a stream: give both", how)
		}
	}
	if cmd.Flags().Changed("replicas") && (c.flags.Replicas < 1 || c.flags.Replicas > 5) {
		return usage(cmd, "--replicas %d: must be from 1 to 5", c.flags.Replicas)
	}
	c.clusterGiven = cmd.Flags().Changed("cluster")
	if cmd.Flags().Changed("timeout") && c.flags.Timeout <= 0 {
		return usage(cmd, "--timeout %v: must be more than 0", c.flags.Timeout)
	}
	if cmd.Flags().Changed("client-id") {
		if err := broker.CheckClientID(c.flags.ClientID); err != nil {
			return err
		}
	}
	env := link.Options{
		Servers: s.Getenv("NATS_URL"),
		Cluster: s.Getenv("NATS_CLUSTER_ID"),
		Auth: link.Auth{
			User: s.secret("NATS_USER"), Password: s.secret("NATS_PASSWORD"), Token: s.secret("NATS_TOKEN"),
			Creds: s.Getenv("NATS_CREDS"), NKey: s.Getenv("NATS_NKEY"),
		},
		TLS:         link.TLS{Cert: s.Getenv("NATS_CERT"), Key: s.Getenv("NATS_KEY"), CA: s.Getenv("NATS_CA")},
		Domain:      s.Getenv("NATS_DOMAIN"),
		InboxPrefix: s.Getenv("NATS_INBOX_PREFIX"),
	}
	if text := s.Getenv("NATS_TRUST_ADVERTISED"); text != "" {
		yes, err := strconv.ParseBool(text)
		if err != nil {
			return usage(cmd, "NATS_TRUST_ADVERTISED=%q: must be true or false", text)
		}
		env.TrustAdvertised = yes
	}
	if text := s.Getenv("NATS_TIMEOUT"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return usage(cmd, "NATS_TIMEOUT=%q: must be a duration of more than 0, such as 5s", text)
		}
		env.Timeout = d
	}
	c.options = c.flags.Or(env)
	for _, path := range []*string{&c.options.Auth.Creds, &c.options.Auth.NKey, &c.options.TLS.Cert, &c.options.TLS.Key, &c.options.TLS.CA} {
		*path = s.path(*path)
	}
	if name := firstOf(c.context, s.Getenv("NATS_CONTEXT")); name != "" {
		lower, err := link.FromContext(name, s.Getenv)
		if err != nil {
			return err
		}
		c.options = c.options.Or(lower)
	}
	// JetStream has none. A cluster in a flag outranks "auto" in the environment.
	outranked := c.clusterGiven && c.backend == "" && c.options.Backend == broker.Auto
	if c.options.Cluster != "" && (c.options.Backend == "" || outranked) {
		c.options.Backend = broker.STAN
	}
	c.monitor = firstOf(c.monitor, s.Getenv("NATS_MONITOR_URL"))
	if c.monitor != "" && !port.IsURL(c.monitor) {
		return usage(cmd, "--monitor (NATS_MONITOR_URL): must be a URL, such as http://127.0.0.1:8222 (in a user or password, / ? # and @ are %%-encoded)")
	}
	t := c.options.TLS
	cmd.SetContext(port.WithTLS(cmd.Context(), port.TLS{CA: t.CA, Cert: t.Cert, Key: t.Key}))
	return nil
}

// secret is a user, password or token in the environment. A secret mounted from
// a file ends in a newline, often, and none of them holds one.
func (s *System) secret(name string) string { return strings.TrimRight(s.Getenv(name), "\r\n") }

// path is that of a file, with ~ for the home folder: a shell replaces it only
// where it begins a word.
func (s *System) path(name string) string {
	if rest, ok := strings.CutPrefix(name, "~/"); ok && s.Getenv("HOME") != "" {
		return filepath.Join(s.Getenv("HOME"), rest)
	}
	return name
}

func (c *connection) monitorURL() string {
	if c.monitor != "" {
		return c.monitor
	}
	host := "127.0.0.1"
	if hosts := c.options.Hosts(); len(hosts) > 0 {
		host = hosts[0]
	}
	return "http://" + net.JoinHostPort(host, "8222")
}

// dial opens the connection, and explains it if that can't be done.
func (c *connection) dial(ctx context.Context, tell *teller) (*conn.Conn, error) {
	session, err := conn.Dial(ctx, c.options)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	c.tellBackend(tell, session.Backend())
	return session, nil
}

// tellBackend says which broker was reached, and what of the flags has no
// meaning there.
func (c *connection) tellBackend(tell *teller, b broker.Backend) {
	switch b {
	case broker.STAN:
		tell.say("NATS Streaming, cluster %s, at %s", firstOf(c.options.Cluster, link.DefaultCluster), c.options.Where())
		if c.options.CreateStream {
			tell.say("--create-stream is ignored: NATS Streaming makes its channels by itself")
		}
	case broker.JetStream:
		tell.say("JetStream at %s", c.options.Where())
		if c.clusterGiven {
			tell.say("--cluster is ignored: JetStream has no cluster ID")
		}
	}
}

func firstOf[T comparable](values ...T) T {
	var none T
	for _, v := range values {
		if v != none {
			return v
		}
	}
	return none
}

// exclusive returns a usage error if more than one of the flags was given.
func exclusive(cmd *cobra.Command, names ...string) error {
	given := ""
	for _, name := range names {
		if !cmd.Flags().Changed(name) {
			continue
		}
		if given != "" {
			return usage(cmd, "--%s and --%s exclude each other", given, name)
		}
		given = name
	}
	return nil
}

// complete makes the shell offer values for a flag.
func complete(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(fmt.Sprintf("completing --%s: %v", flag, err)) // no such flag: a slip in this package
	}
}

// localFlags returns the flags of cmd for its own options, in help order.
func localFlags(cmd *cobra.Command) *pflag.FlagSet {
	cmd.Flags().SortFlags = false
	return cmd.Flags()
}
