package conn_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// An authority signs certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key = template, a.newKey()
	a.file, _ = a.write(name, template, a.key)
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

// issue returns the files of a certificate for 127.0.0.1 and its key.
func (a *authority) issue(name string, until time.Time) (cert, key string) {
	return a.write(name, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, a.newKey())
}

func (a *authority) write(name string, template *x509.Certificate, key *ecdsa.PrivateKey) (certFile, keyFile string) {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	save := func(name, kind string, der []byte) string {
		path := filepath.Join(a.dir, name)
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		if err := os.WriteFile(path, text, 0o600); err != nil {
			a.t.Fatal(err)
		}
		return path
	}
	return save(name+".pem", "CERTIFICATE", der), save(name+".key", "EC PRIVATE KEY", keyDER)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	good, other := newAuthority(t, "good"), newAuthority(t, "other")
	later, before := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	serverCert, serverKey := good.issue("server", later)
	expiredCert, expiredKey := good.issue("expired", before)
	clientCert, clientKey := good.issue("client", later)
	strangerCert, strangerKey := other.issue("stranger", later)
	block := func(cert, key string) string {
		return fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }", cert, key, good.file)
	}
	server := brokertest.Start(t, brokertest.Config{
		TLS: true, Extra: block(serverCert, serverKey),
		StreamingExtra: fmt.Sprintf("tls { client_cert: %q, client_key: %q, client_ca: %q }", clientCert, clientKey, good.file),
	})
	expired := brokertest.Start(t, brokertest.Config{Plain: true, TLS: true, Extra: block(expiredCert, expiredKey)})
	client := link.TLS{CA: good.file, Cert: clientCert, Key: clientKey}
	tests := map[string]struct {
		url  string
		tls  link.TLS
		want error
	}{
		"right":                 {server.URL, client, nil},
		"unknown authority":     {server.URL, link.TLS{CA: other.file, Cert: clientCert, Key: clientKey}, broker.ErrTLS},
		"no authority":          {server.URL, link.TLS{Cert: clientCert, Key: clientKey}, broker.ErrTLS},
		"no client certificate": {server.URL, link.TLS{CA: good.file}, broker.ErrTLS},
		"stranger's":            {server.URL, link.TLS{CA: good.file, Cert: strangerCert, Key: strangerKey}, broker.ErrTLS},
		"client's expired":      {server.URL, link.TLS{CA: good.file, Cert: expiredCert, Key: expiredKey}, broker.ErrTLS},
		"server's expired":      {expired.URL, client, broker.ErrTLS},
		"key of another":        {server.URL, link.TLS{CA: good.file, Cert: clientCert, Key: strangerKey}, broker.ErrTLS},
		"no TLS":                {"nats" + server.URL[len("tls"):], link.TLS{}, broker.ErrTLS},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := refused(t, link.Options{Servers: test.url, TLS: test.tls})
			if !errors.Is(err, test.want) || err != nil && test.want == nil {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}
