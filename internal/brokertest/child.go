package brokertest

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	natsd "github.com/nats-io/nats-server/v2/server"
	stand "github.com/nats-io/nats-streaming-server/server"
)

// ServeIfChild runs a server and does not return, if [Start] started this process
// for that purpose. Call it first in a test package's TestMain, or in a program's
// main.
func ServeIfChild() {
	config := os.Getenv(configEnv)
	if config == "" {
		return
	}
	kind, file, _ := strings.Cut(config, ":")
	if err := serve(kind, file); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent exits, for whatever reason
	os.Exit(0)
}

// serve does the same as the servers' own main functions.
func serve(kind, file string) error {
	if kind == "plain" {
		opts, err := natsd.ProcessConfigFile(file)
		if err != nil {
			return err
		}
		opts.NoSigs = true
		server, err := natsd.NewServer(opts)
		if err != nil {
			return err
		}
		server.ConfigureLogger()
		server.Start()
		return nil
	}
	nothing := func() {}
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	sopts, nopts, err := stand.ConfigureOptions(flags, []string{"-c", file}, nothing, nothing, nothing)
	if err != nil {
		return err
	}
	sopts.EnableLogging = true
	nopts.NoSigs = true
	_, err = stand.RunServerWithOpts(sopts, nopts)
	return err
}
