package protobuf

import "strings"

// maxNesting bounds how deeply the brackets of a file may be nested. The
// compiler recurses into them, and messages may be nested 32 deep.
const maxNesting = 200

// tooNested returns the line in which brackets are nested too deeply, or 0.
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

// skipText returns how long the comment or the string is that text begins with.
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
