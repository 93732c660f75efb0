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

// ServeIfChild runs a server and does not return, if this process was started
// by [Start] for that. A test package calls it first thing in its TestMain, a
// program in its main.
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
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test is over, however it ends
	os.Exit(0)
}

// serve does what the servers' own main functions do.
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
