package protobuf

import "strings"

// maxNesting limits the nesting of brackets in a file. The compiler recurses into
// them; messages may be nested 32 levels deep.
const maxNesting = 200

// tooNested returns the line where brackets are nested too deeply, or 0.
func tooNested(text string) int {
	depth, line := 0, 1
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\n':
			line++
		case '{', '[', '(', '<':
			if depth++; depth > maxNesting {
				return line
			}
		case '}', ']', ')', '>':
			depth = max(0, depth-1)
		case '/', '"', '\'':
			skipped := text[i : i+skipText(text[i:])]
			line += strings.Count(skipped, "\n")
			i += len(skipped) - 1
		}
	}
	return 0
}

// skipText returns the length of the comment or string at the beginning of text.
func skipText(text string) int {
	const begin = 2
	end := "\n"
	switch {
	case strings.HasPrefix(text, "//"):
	case strings.HasPrefix(text, "/*"):
		end = "*/"
	case text[0] == '/':
		return 1
	default:
		for i := 1; i < len(text) && text[i] != '\n'; i++ {
			switch text[i] {
			case '\\':
				i++
			case text[0]:
				return i + 1
			}
		}
		return 1
	}
	if i := strings.Index(text[begin:], end); i >= 0 {
		return begin + i + len(end)
	}
	return len(text)
}
