// Command publish puts events on a NATS subject and waits until the broker
// has stored them.
package main

import (
	"os"

	"nats-test/internal/cli"
	"nats-test/internal/cli/publish"
)

func main() {
	os.Exit(cli.Main(publish.New))
}
