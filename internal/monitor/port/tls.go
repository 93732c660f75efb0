package port

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// TLS names the files that secure the connection to an https monitoring port:
// those of the connection to the server, as a rule.
type TLS struct {
	CA        string // who signed the port's certificate; default: the system's authorities
	Cert, Key string // the client's, where the port asks for them
}

type tlsKey struct{}

// WithTLS returns a context in which https monitoring ports are asked with t.
func WithTLS(ctx context.Context, t TLS) context.Context { return context.WithValue(ctx, tlsKey{}, t) }

// tlsOf is the configuration for u, nil for the usual one. Files are read when
// they are needed only.
func tlsOf(ctx context.Context, u *url.URL) (*tls.Config, error) {
	t, _ := ctx.Value(tlsKey{}).(TLS)
	if u.Scheme != "https" || t == (TLS{}) {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("no certificate is in %q", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// IsURL reports whether base can be the URL of a monitoring port. A password with
// a / ? or # in it makes it none: what stands before would be looked up.
func IsURL(base string) bool {
	u, err := url.Parse(strings.TrimSpace(base))
	return err == nil && u.Hostname() != "" && (u.Scheme == "http" || u.Scheme == "https") &&
		!strings.Contains(u.Path+u.RawQuery+u.Fragment, "@")
}
