package conn_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// refused dials and returns the error, which must not hold a secret.
func refused(t *testing.T, o link.Options) error {
	t.Helper()
	session, err := conn.Dial(t.Context(), o)
	if err == nil {
		_ = session.Close()
		return nil
	}
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a secret shows: %v", err)
	}
	return err
}

func TestWhyNoConnection(t *testing.T) {
	t.Parallel()
	streaming := brokertest.Start(t, brokertest.Config{Cluster: "other"})
	plain := brokertest.Start(t, brokertest.Config{Plain: true})
	holder := dial(t, link.Options{Servers: streaming.URL, Cluster: "other", ClientID: "me"})
	defer func() { _ = holder.Close() }()
	missing := filepath.Join(t.TempDir(), "missing")
	tests := map[string]struct {
		options link.Options
		want    error
	}{
		"nothing there":       {link.Options{Servers: "nats://ada:s3cret@127.0.0.1:1"}, broker.ErrNoServer},
		"no such host":        {link.Options{Servers: "nats://no-such-host.invalid"}, broker.ErrNoServer},
		"other cluster":       {link.Options{Servers: streaming.URL}, broker.ErrNoCluster},
		"plain NATS":          {link.Options{Servers: plain.URL}, broker.ErrNoCluster},
		"ID taken":            {link.Options{Servers: streaming.URL, Cluster: "other", ClientID: "me"}, broker.ErrClientIDTaken},
		"bad ID":              {link.Options{Servers: streaming.URL, ClientID: "a b"}, broker.ErrName},
		"bad cluster":         {link.Options{Servers: streaming.URL, Cluster: "a b"}, broker.ErrName},
		"no URL":              {link.Options{Servers: "nats://ada:s3cret@127.0.0.1:port"}, broker.ErrConfig},
		"no host":             {link.Options{Servers: "nats://"}, broker.ErrConfig},
		"other scheme":        {link.Options{Servers: "https://ada:s3cret@127.0.0.1"}, broker.ErrConfig},
		"no creds file":       {link.Options{Servers: plain.URL, Auth: link.Auth{Creds: missing}}, broker.ErrConfig},
		"no nkey file":        {link.Options{Servers: plain.URL, Auth: link.Auth{NKey: missing}}, broker.ErrConfig},
		"no CA file":          {link.Options{Servers: plain.URL, TLS: link.TLS{CA: missing}}, broker.ErrConfig},
		"key without its own": {link.Options{Servers: plain.URL, TLS: link.TLS{Key: os.Args[0]}}, broker.ErrConfig},
		"TLS to a plain one":  {link.Options{Servers: strings.Replace(plain.URL, "nats:", "tls:", 1)}, broker.ErrTLS},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := refused(t, test.options)
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	if second := refused(t, link.Options{Servers: "nats://127.0.0.1:1, " + streaming.URL, Cluster: "other"}); second != nil {
		t.Errorf("the second of two servers: %v", second)
	}
}

// A plain server that lets us in has no cluster: that is how these tests see
// that the credentials were taken.
func TestCredentials(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	user := newKey(t, nkeys.CreateUser)
	operatorConfig, creds := operatorMode(t, write)
	tests := map[string]struct {
		config      string
		good, wrong link.Auth
	}{
		"user": {
			`authorization { user: ada, password: s3cret }`,
			link.Auth{User: "ada", Password: "s3cret"}, link.Auth{User: "ada", Password: "no-s3cret"},
		},
		"token": {`authorization { token: s3cret }`, link.Auth{Token: "s3cret"}, link.Auth{Token: "no-s3cret"}},
		"nkey": {
			fmt.Sprintf(`authorization { users: [ { nkey: %s } ] }`, user.public),
			link.Auth{NKey: write("good.nk", user.seed)}, link.Auth{NKey: write("wrong.nk", newKey(t, nkeys.CreateUser).seed)},
		},
		"creds": {operatorConfig, link.Auth{Creds: creds}, link.Auth{User: "ada", Password: "s3cret"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := brokertest.Start(t, brokertest.Config{Plain: true, Extra: test.config})
			if err := refused(t, link.Options{Servers: server.URL, Auth: test.good}); !errors.Is(err, broker.ErrNoCluster) {
				t.Errorf("the right ones: %v", err)
			}
			for _, auth := range []link.Auth{test.wrong, {}} {
				if err := refused(t, link.Options{Servers: server.URL, Auth: auth}); !errors.Is(err, broker.ErrAuth) {
					t.Errorf("wrong ones: %v", err)
				}
			}
		})
	}
	t.Run("no permission", func(t *testing.T) {
		server := brokertest.Start(t, brokertest.Config{Plain: true, Extra: `authorization { users: [
			{ user: ada, password: s3cret, permissions: { publish: "foo" } } ] }`})
		o := link.Options{Servers: server.URL, Timeout: 300 * time.Millisecond, Auth: link.Auth{User: "ada", Password: "s3cret"}}
		if err := refused(t, o); !errors.Is(err, broker.ErrAuth) {
			t.Error(err)
		}
	})
	t.Run("in the URL", func(t *testing.T) {
		server := brokertest.Start(t, brokertest.Config{Plain: true, Extra: tests["user"].config})
		for password, want := range map[string]error{"s3cret": broker.ErrNoCluster, "no-s3cret": broker.ErrAuth} {
			url := strings.Replace(server.URL, "//", "//ada:"+password+"@", 1)
			if err := refused(t, link.Options{Servers: url}); !errors.Is(err, want) {
				t.Error(err)
			}
		}
	})
}

type key struct{ public, seed string }

func newKey(t *testing.T, create func() (nkeys.KeyPair, error)) key {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return key{public, string(seed)}
}

// operatorMode returns the configuration of a server that takes credentials
// files, and one of these.
func operatorMode(t *testing.T, write func(name, text string) string) (config, creds string) {
	t.Helper()
	check := func(text string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	operator, account, user := newKey(t, nkeys.CreateOperator), newKey(t, nkeys.CreateAccount), newKey(t, nkeys.CreateUser)
	sign := func(claims jwt.Claims, by key) string {
		pair, err := nkeys.FromSeed([]byte(by.seed))
		if err != nil {
			t.Fatal(err)
		}
		return check(claims.Encode(pair))
	}
	operatorJWT := sign(jwt.NewOperatorClaims(operator.public), operator)
	accountJWT := sign(jwt.NewAccountClaims(account.public), operator)
	userJWT := sign(jwt.NewUserClaims(user.public), account)
	decorated, err := jwt.FormatUserConfig(userJWT, []byte(user.seed))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("operator: %s\nresolver: MEMORY\nresolver_preload: { %s: %s }\n", operatorJWT, account.public, accountJWT),
		write("user.creds", string(decorated))
}
