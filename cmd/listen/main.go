// Command listen shows the events of NATS subjects, alone or as a member of a
// queue group that survives restarts.
package main

import (
	"os"

	"nats-test/internal/cli"
	"nats-test/internal/cli/listen"
)

func main() {
	os.Exit(cli.Main(listen.New))
}
