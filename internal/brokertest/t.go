package brokertest

// T is the user of a server: a *testing.T, a *testing.B, or a program that needs
// servers outside of tests. Fatal and Fatalf do not return. Functions passed to
// Cleanup are called at the end, the last first.
type T interface {
	Helper()
	Logf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Cleanup(f func())
	TempDir() string
}
