//go:build race

package brokertest

// Race reports whether the race detector is on, which costs time and memory.
const Race = true
