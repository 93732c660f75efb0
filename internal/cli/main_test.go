package cli_test

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
