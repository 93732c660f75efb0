// Package scripts_test tests the scripts. What it says of Kubernetes is
// simulated (internal/kubetest); kubectl, the servers and the programs are real.
package scripts_test

import (
	"os"
	"testing"

	"nats-test/internal/brokertest"
)

func TestMain(m *testing.M) {
	brokertest.ServeIfChild()
	code := m.Run()
	brokertest.RemovePrograms()
	os.Exit(code)
}
