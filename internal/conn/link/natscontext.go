package link

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link/wire"
)

// A contextFile is a context of the nats CLI, without the fields that don't matter here
// (color_scheme, description, jetstream_event_prefix).
type contextFile struct {
	URL         string `json:"url"`
	Token       string `json:"token"`
	User        string `json:"user"`
	Password    string `json:"password"`
	Creds       string `json:"creds"`
	NKey        string `json:"nkey"`
	Cert        string `json:"cert"`
	Key         string `json:"key"`
	CA          string `json:"ca"`
	UserJWT     string `json:"user_jwt"`
	UserSeed    string `json:"user_seed"`
	InboxPrefix string `json:"inbox_prefix"`
	TLSFirst    bool   `json:"tls_first"`
	Domain      string `json:"jetstream_domain"`

	// Fields that are not supported; see check.
	SocksProxy  string   `json:"socks_proxy"`
	APIPrefix   string   `json:"jetstream_api_prefix"`
	NSC         string   `json:"nsc"`
	CertStore   string   `json:"windows_cert_store"`
	CertMatch   string   `json:"windows_cert_match"`
	CertCAMatch []string `json:"windows_ca_certs_match"`
}

// FromContext reads the NATS context called name from where the nats CLI keeps it:
// $XDG_CONFIG_HOME/nats/context/NAME.json, by default under ~/.config. getenv looks up
// environment variables. The error wraps [broker.ErrConfig].
func FromContext(name string, getenv func(string) string) (Options, error) {
	fail := func(err error) (Options, error) {
		if !errors.Is(err, broker.ErrContext) {
			err = broker.Because(broker.ErrContext, err)
		}
		return Options{}, fmt.Errorf("reading the NATS context %q: %w", name, err)
	}
	if isContent(name) {
		return Options{}, broker.Because(broker.ErrContext, errors.New("the name of the NATS context looks like a secret (it is not shown)"))
	}
	if name != filepath.Base(name) || name == "." || name == ".." {
		return fail(errors.New("a context's name is not a path"))
	}
	home := getenv("HOME")
	if home == "" {
		home, _ = os.UserHomeDir()
	}
	config := getenv("XDG_CONFIG_HOME")
	if config == "" {
		config = filepath.Join(home, ".config")
	}
	file := filepath.Join(config, "nats", "context", name+".json")
	text, err := os.ReadFile(file)
	if err != nil {
		return fail(err)
	}
	var c contextFile
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if err := json.Unmarshal(text, &c); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			err = fmt.Errorf("its %s can't be a %s", wire.ClipWord(wrong.Field), wire.ClipWord(wrong.Value))
		} else if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			line := 1 + bytes.Count(text[:min(max(0, syntax.Offset), int64(len(text)))], []byte("\n"))
			err = fmt.Errorf("%s is not valid JSON at line %d", file, line)
		}
		return fail(err)
	}
	if err := c.check(); err != nil {
		return fail(err)
	}
	path := func(p string) string { // expands a path as the nats CLI does
		p = strings.TrimPrefix(p, "file://")
		if rest, ok := strings.CutPrefix(p, "~/"); ok {
			p = filepath.Join(home, rest)
		}
		return os.Expand(p, getenv)
	}
	var unset error
	value := func(field, v string) string {
		variable, is := strings.CutPrefix(v, "env://")
		if !is {
			return v
		}
		if v = getenv(variable); v == "" {
			unset = fmt.Errorf("its %s refers to the variable %q, which is not set", field, variable)
		}
		return v
	}
	o := Options{
		Servers: c.URL,
		Auth: Auth{
			User: c.User, Password: value("password", c.Password), Token: value("token", c.Token),
			Creds: path(c.Creds), NKey: path(c.NKey),
			UserJWT: value("user_jwt", c.UserJWT), UserSeed: value("user_seed", c.UserSeed),
		},
		TLS:         TLS{Cert: path(c.Cert), Key: path(c.Key), CA: path(c.CA), First: c.TLSFirst},
		InboxPrefix: c.InboxPrefix,
		Domain:      c.Domain,
	}
	if unset != nil {
		return fail(unset)
	}
	for _, v := range []string{c.User, c.Password, c.Token, c.UserSeed, c.UserJWT} { // the user may be a token
		if v != "" && reference(v) == "" && (v != c.User || c.Password == "") {
			o.SecretFile = file
		}
	}
	if strings.Contains(c.URL, "@") {
		o.SecretFile = file
	}
	return o, nil
}

// check refuses unsupported fields by name. To ignore a proxy, for example, would send
// secrets over another way than intended.
func (c *contextFile) check() error {
	for _, field := range [][2]string{
		{"socks_proxy", c.SocksProxy}, {"jetstream_api_prefix", c.APIPrefix}, {"windows_cert_store", c.CertStore},
		{"windows_cert_match", c.CertMatch}, {"windows_ca_certs_match", strings.Join(c.CertCAMatch, ",")},
	} {
		if field[1] != "" {
			return broker.Because(broker.ErrContextField, fmt.Errorf("its %s is not supported", field[0]))
		}
	}
	if c.NSC != "" {
		return broker.Because(broker.ErrContextNSC, errors.New("its nsc is not supported"))
	}
	for _, field := range []struct {
		name, value string
		follows     string // the kind of reference that is supported
	}{
		{"creds", c.Creds, "file:"}, {"nkey", c.NKey, "file:"}, {"cert", c.Cert, "file:"}, {"key", c.Key, "file:"}, {"ca", c.CA, "file:"},
		{"password", c.Password, "env:"}, {"token", c.Token, "env:"}, {"user_jwt", c.UserJWT, "env:"}, {"user_seed", c.UserSeed, "env:"},
	} {
		if field.follows == "file:" && isContent(field.value) {
			return fmt.Errorf("its %s must be the path of a file, and looks like the content of one (it is not shown)", field.name)
		}
		switch kind := reference(field.value); kind {
		case "", field.follows:
		case "nsc:":
			return broker.Because(broker.ErrContextNSC, fmt.Errorf("its %s is a reference by nsc:, which is not supported", field.name))
		default:
			return broker.Because(broker.ErrContextField, fmt.Errorf("its %s is a reference by %s, which is not supported", field.name, kind))
		}
	}
	if c.UserSeed != "" && c.UserJWT == "" && c.User+c.Creds+c.NKey == "" {
		return errors.New("its user_seed needs a user_jwt; for a seed alone, nkey names a file")
	}
	return nil
}

// reference returns the kind of reference that the nats CLI would resolve, "" for a
// plain value.
func reference(value string) string {
	for _, kind := range []string{"op:", "nsc:", "env:", "data:", "file:"} {
		if len(value) >= len(kind) && strings.EqualFold(value[:len(kind)], kind) {
			return kind
		}
	}
	return ""
}
