package worker

import "time"

// ShortPauses makes the pauses of breakers short.
func ShortPauses() { probes = Backoff{100 * time.Millisecond, 400 * time.Millisecond} }
