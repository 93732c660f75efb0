// Reads a list of {contract, data} from stdin, encodes and decodes each by the
// Avro type in that file, and writes a list of {problem, back}.
const fs = require('fs');
const path = require('path');
const avro = require('avsc');

// In JSON, a timestamp is an RFC 3339 time.
class Timestamp extends avro.types.LogicalType {
  _fromValue(ms) {
    return new Date(ms).toISOString().replace('.000Z', 'Z');
  }
  _toValue(text) {
    return typeof text === 'string' ? Date.parse(text) : undefined;
  }
}

const folder = process.argv[2];
const schemas = fs
  .readdirSync(folder)
  .filter(name => name.endsWith('.avsc'))
  .map(file => ({ file, schema: JSON.parse(fs.readFileSync(path.join(folder, file), 'utf8')) }));
// A name is known once its file was read, so what others share comes first.
schemas.sort((a, b) => (b.schema.type === 'enum') - (a.schema.type === 'enum'));
const registry = {};
const types = new Map();
for (const { file, schema } of schemas) {
  const logicalTypes = { 'timestamp-millis': Timestamp };
  types.set(file, avro.Type.forSchema(schema, { registry, logicalTypes }));
}

const verdicts = JSON.parse(fs.readFileSync(0, 'utf8')).map(({ contract, data }) => {
  try {
    const type = types.get(contract);
    return { problem: '', back: type.fromBuffer(type.toBuffer(data)) };
  } catch (error) {
    return { problem: error.message };
  }
});
console.log(JSON.stringify(verdicts));
