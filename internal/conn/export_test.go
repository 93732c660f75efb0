package conn

import (
	"nats-test/internal/conn/link"
)

// RollOf is the subject of a position's roll calls.
func RollOf(names ...string) string { return link.Roll(names...) }
