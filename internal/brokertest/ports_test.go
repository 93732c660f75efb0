package brokertest

import (
	"fmt"
	"net"
	"testing"
)

func TestTakenPortsAreReplaced(t *testing.T) {
	single := func(config Config) func(*testing.T, []int) error {
		return func(t *testing.T, ports []int) error {
			_, err := start(t, config, ports)
			return err
		}
	}
	cluster := func(t *testing.T, ports []int) error {
		_, err := startCluster(t, ports)
		return err
	}
	tests := map[string]struct {
		ports, taken int
		start        func(*testing.T, []int) error
	}{
		"client port of NATS Streaming":     {2, 0, single(Config{})},
		"monitoring port of NATS Streaming": {2, 1, single(Config{})},
		"client port of NATS":               {2, 0, single(Config{Plain: true})},
		"monitoring port of NATS":           {2, 1, single(Config{Plain: true})},
		"client port in a cluster":          {6, 3, cluster},
		"route port in a cluster":           {6, 5, cluster},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tries := 0
			onFreePorts(t, test.ports, func(ports []int) error {
				tries++
				if tries == 1 {
					l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", ports[test.taken]))
					if err != nil {
						t.Fatal(err)
					}
					defer func() { _ = l.Close() }()
				}
				return test.start(t, ports)
			})
			if tries < 2 {
				t.Error("a server started on a taken port")
			}
		})
	}
}
