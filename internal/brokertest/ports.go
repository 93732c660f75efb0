package brokertest

import "errors"

var errPortTaken = errors.New("another process took the server's port")

// onFreePorts calls start with n free ports. Except on Linux, another process may
// take one before the server does; then start is called again with others.
func onFreePorts(t T, n int, start func(ports []int) error) {
	t.Helper()
	for again := 2; ; again-- {
		err := start(freePorts(t, n))
		if err == nil {
			return
		}
		if again == 0 || !errors.Is(err, errPortTaken) {
			t.Fatal(err)
		}
	}
}

func freePorts(t T, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		ports[i] = freePort(t)
	}
	return ports
}

// FreePort returns a loopback port for a program that the test starts. On Linux, it
// is reserved until the test ends.
func FreePort(t T) int {
	t.Helper()
	return freePort(t)
}
