// Reads a list of {contract, data} from stdin, encodes and decodes each by the
// message that the contract names, and writes a list of {problem, back}. The
// file that is named first is what `buf build` made of the contracts.
const fs = require('fs');
const { createFileRegistry, fromBinary, fromJson, toBinary, toJson } = require('@bufbuild/protobuf');
const { FileDescriptorSetSchema } = require('@bufbuild/protobuf/wkt');

const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, fs.readFileSync(process.argv[2])));
const verdicts = JSON.parse(fs.readFileSync(0, 'utf8')).map(({ contract, data }) => {
  const message = registry.getMessage(contract.split('#')[1]);
  try {
    const wire = toBinary(message, fromJson(message, data));
    return { problem: '', back: toJson(message, fromBinary(message, wire)) };
  } catch (error) {
    return { problem: error.message };
  }
});
console.log(JSON.stringify(verdicts));
