// Package events knows what the bytes of an event mean: its subject, the type
// of its data, and the contract that both sides of the bus rely on.
//
// The package's rule: it never talks to a broker, and people never see anything
// but JSON. An event is checked against its contract, and encoded as that says;
// where it travels as JSON, it is sent as its author wrote it.
package events

import "encoding/json"

// An Event is the data of one kind of event. The type carries its subject, so
// that data can't be paired with the subject of another kind.
type Event interface {
	// Subject names the NATS subject (a channel, on NATS Streaming) that
	// events of this type travel on. It must not depend on the value.
	Subject() string
}

// Encode returns the subject of e and its wire form, one JSON object.
func Encode(e Event) (subject string, data []byte, err error) {
	data, err = json.Marshal(e)
	return e.Subject(), data, err
}
