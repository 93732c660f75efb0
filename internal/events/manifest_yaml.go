package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"nats-test/internal/events/contract"
)

// Time and memory of this YAML library grow linearly with the text: 100 kB of "["
// took another one 15 GB. Only its parser is used, since its decoder compares each
// key of a mapping with all others.

func isNull(node *yaml.Node) bool {
	return node.Kind == 0 || node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// anchored returns an anchor or alias, or nil.
func anchored(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode || node.Anchor != "" {
		return node
	}
	for _, below := range node.Content {
		if at := anchored(below); at != nil {
			return at
		}
	}
	return nil
}

// invalid records an error of the YAML library, such as "yaml: line 2: did not find
// expected key".
func (m *manifest) invalid(err error) {
	problem := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if at := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(problem); at != nil {
		line, _ = strconv.Atoi(at[1])
		problem = problem[len(at[0]):]
	}
	m.fault(line, "is no YAML: %s", contract.Shorten(problem))
}

// jsonOfYAML writes a value as JSON on one line, with its keys in order.
func jsonOfYAML(node *yaml.Node) (string, error) {
	text, err := appendYAML(nil, node)
	return string(text), err
}

func appendYAML(text []byte, node *yaml.Node) (_ []byte, err error) {
	switch node.Kind {
	case yaml.MappingNode:
		seen := make(map[string]bool)
		text = append(text, '{')
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i]
			switch {
			case key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge":
				return nil, errors.New("has a key that is not plain text")
			case seen[key.Value]:
				return nil, fmt.Errorf("has the key %s twice", contract.Quote(key.Value))
			case i > 0:
				text = append(text, ", "...)
			}
			seen[key.Value] = true
			text = append(contract.AppendJSONString(text, key.Value), ": "...)
			if text, err = appendYAML(text, node.Content[i+1]); err != nil {
				return nil, err
			}
		}
		return append(text, '}'), nil
	case yaml.SequenceNode:
		text = append(text, '[')
		for i, item := range node.Content {
			if i > 0 {
				text = append(text, ", "...)
			}
			if text, err = appendYAML(text, item); err != nil {
				return nil, err
			}
		}
		return append(text, ']'), nil
	}
	return appendYAMLScalar(text, node)
}

func appendYAMLScalar(text []byte, node *yaml.Node) ([]byte, error) {
	var value any
	switch node.ShortTag() {
	case "!!null":
		return append(text, "null"...), nil
	case "!!bool", "!!int", "!!float":
		if contract.IsJSONNumber(node.Value) { // with all its digits
			return append(text, node.Value...), nil
		}
		if err := node.Decode(&value); err != nil {
			return nil, fmt.Errorf("has a value that is not YAML: %s", contract.Quote(node.Value))
		}
		if f, ok := value.(float64); ok && (math.IsInf(f, 0) || math.IsNaN(f)) {
			return nil, fmt.Errorf("has a number that JSON does not allow: %s", contract.Quote(node.Value))
		}
		number, err := json.Marshal(value)
		return append(text, number...), err
	}
	return contract.AppendJSONString(text, node.Value), nil
}
