// Every pattern of the schemas is a regular expression of ECMAScript, as JSON Schema asks. Arguments: files. Prints how many there are.
import { readFileSync } from "node:fs";

let patterns = 0;
for (const file of process.argv.slice(2)) {
  JSON.parse(readFileSync(file, "utf8"), (name, value) => {
    if (name === "pattern" && typeof value === "string") {
      new RegExp(value, "u");
      patterns += 1;
    }
    return value;
  });
}
console.log(patterns);
