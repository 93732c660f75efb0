package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// natsVersion is that of the nats CLI, pinned: figures of others don't compare.
const natsVersion = "v0.5.1"

// natsProgram is the nats CLI. It is built once into the user's cache, in no
// module: it would bring some 80 others into ours.
var natsProgram = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "nats-test")
	home := filepath.Join(cache, "natscli-"+natsVersion)
	program := filepath.Join(home, "nats")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	// Built aside, so that nobody takes half a program for a whole one.
	dir, err := os.MkdirTemp(cache, "building-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	install := exec.Command("go", "install", "github.com/nats-io/natscli/nats@"+natsVersion)
	install.Dir = dir
	install.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=-mod=mod")
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the nats CLI: %w\n%s", err, out)
	}
	return program, os.Rename(dir, home)
})
