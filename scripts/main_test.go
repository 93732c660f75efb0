// Package scripts_test tests the scripts. What it says of Kubernetes is
// simulated (internal/kubetest); kubectl, the servers and the programs are real.
package scripts_test

import (
	"os"
	"os/signal"
	"syscall"
	"testing"

	"nats-test/internal/brokertest"
)

func TestMain(m *testing.M) {
	brokertest.ServeIfChild()
	// A shell can't trap what was ignored when it began, as in the background of
	// another script. What is caught here is not ignored in a child.
	for _, which := range []os.Signal{os.Interrupt, syscall.SIGHUP} {
		if signal.Ignored(which) {
			signal.Notify(make(chan os.Signal, 1), which)
		}
	}
	code := m.Run()
	brokertest.RemovePrograms()
	os.Exit(code)
}
