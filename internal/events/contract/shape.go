package contract

// A Shape is the structure of a value that publishers and listeners rely on, in any
// format. It has enough detail to decide whether a change of a contract breaks
// programs that have the old one. Shapes of recursive types are cyclic.
type Shape struct {
	Kind   string  // in the format's own word: "string", "int64", "array", …; [Object] and so on where one of these fits
	Fields []Field // of an object, in the contract's order
	Open   bool    // an object that may have further fields; an Avro enum with a default

	Items    *Shape      // of an array, and of a map's values
	Values   []EnumValue // of an enum, in the contract's order
	Variants []Variant   // of a union: one of them
}

// Kinds shared by all formats.
const (
	Object = "object" // a record, a message
	Array  = "array"
	Map    = "map"
	Enum   = "enum"
	Union  = "union"
	Any    = "anything" // not restricted by the contract
)

// A Field is one field of an object.
type Field struct {
	Name     string
	Number   int // of a Protobuf field, else 0
	Required bool
	Oneof    string // of a Protobuf field: the oneof it belongs to
	Shape    *Shape
}

// An EnumValue is one value of an enum.
type EnumValue struct {
	Name   string
	Number int // of a Protobuf enum's value, else 0
}

// A Variant is one of the types of a union.
type Variant struct {
	Name  string // as the union tells them apart: a type's name, or ""
	Shape *Shape
}
