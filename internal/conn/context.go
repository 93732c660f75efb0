package conn

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// FromContext reads the NATS context called name, as the nats CLI keeps it:
// $XDG_CONFIG_HOME/nats/context/NAME.json, else under ~/.config. getenv looks
// up environment variables. The error wraps [ErrConfig].
func FromContext(name string, getenv func(string) string) (Options, error) {
	fail := func(err error) (Options, error) {
		return Options{}, fmt.Errorf("reading the NATS context %q: %w", name, because(ErrConfig, err))
	}
	if name != filepath.Base(name) || name == "." || name == ".." {
		return fail(fmt.Errorf("a context's name is no path"))
	}
	home := getenv("HOME")
	if home == "" {
		home, _ = os.UserHomeDir()
	}
	config := getenv("XDG_CONFIG_HOME")
	if config == "" {
		config = filepath.Join(home, ".config")
	}
	text, err := os.ReadFile(filepath.Join(config, "nats", "context", name+".json"))
	if err != nil {
		return fail(err)
	}
	var file struct {
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
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return fail(err)
	}
	path := func(p string) string { // as the nats CLI reads it
		if rest, ok := strings.CutPrefix(p, "~/"); ok {
			p = filepath.Join(home, rest)
		}
		return os.Expand(p, getenv)
	}
	return Options{
		Servers: file.URL,
		Auth: Auth{
			User: file.User, Password: file.Password, Token: file.Token,
			Creds: path(file.Creds), NKey: path(file.NKey),
			UserJWT: file.UserJWT, UserSeed: file.UserSeed,
		},
		TLS:         TLS{Cert: path(file.Cert), Key: path(file.Key), CA: path(file.CA), First: file.TLSFirst},
		InboxPrefix: file.InboxPrefix,
		Domain:      file.Domain,
	}, nil
}
