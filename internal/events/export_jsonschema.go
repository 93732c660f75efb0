package events

// jsonSchema returns the schemas of the events as they are.
func (x *export) jsonSchema() []ExportedFile {
	file := func(e *exportEvent) string { return kebab(e.words) + ".schema.json" }
	files := []ExportedFile{x.manifest(file, func(_ *exportEnum, value string) string { return value })}
	for _, e := range x.events {
		files = append(files, ExportedFile{file(e), []byte(e.source)})
	}
	return files
}
