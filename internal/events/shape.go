package events

// A shape is what the two sides of a bus rely on in a value, whatever language
// the contract is written in: enough to tell whether a change of the contract
// breaks those who still have the old one. Shapes of recursive types are
// cyclic.
type shape struct {
	kind   string  // in the format's own word: "string", "int64", "array", …; shapeObject and so on where one of these fits
	fields []field // of an object, in the contract's order
	open   bool    // an object that may have further fields; an Avro enum with a default

	items    *shape      // of an array, and of a map's values
	values   []enumValue // of an enum, in the contract's order
	variants []variant   // of a union: one of them
}

// The kinds that all formats share.
const (
	shapeObject = "object" // a record, a message
	shapeArray  = "array"
	shapeMap    = "map"
	shapeEnum   = "enum"
	shapeUnion  = "union"
	shapeAny    = "anything" // the contract says nothing about it
)

type field struct {
	name     string
	number   int // of a Protobuf field, else 0
	required bool
	oneof    string // of a Protobuf field: the oneof it belongs to
	shape    *shape
}

type enumValue struct {
	name   string
	number int // of a Protobuf enum's value, else 0
}

type variant struct {
	name  string // as the union tells them apart: a type's name, or ""
	shape *shape
}
