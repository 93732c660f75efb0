package conn

// RollOf is the subject of a position's roll calls.
func RollOf(names ...string) string { return roll(names...) }
