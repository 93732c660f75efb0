// Reads a list of {contract, data} from stdin, checks each against the schema
// in that file, and writes a list of what is wrong: {problem: ''} is valid.
const fs = require('fs');
const path = require('path');
const Ajv = require('ajv/dist/2020').default;
const addFormats = require('ajv-formats').default;

const folder = process.argv[2];
const ajv = new Ajv({ strict: true, allErrors: true });
addFormats(ajv);

const schemas = new Map();
const verdicts = JSON.parse(fs.readFileSync(0, 'utf8')).map(({ contract, data }) => {
  if (!schemas.has(contract)) {
    schemas.set(contract, ajv.compile(JSON.parse(fs.readFileSync(path.join(folder, contract), 'utf8'))));
  }
  const validate = schemas.get(contract);
  return { problem: validate(data) ? '' : ajv.errorsText(validate.errors) };
});
console.log(JSON.stringify(verdicts));
