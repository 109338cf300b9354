// What tools of Node make of the contract: node asked.mjs ASKED ANSWERS, both files of JSON.
import fs from "node:fs";
import { Parser } from "@asyncapi/parser";
import Ajv from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { HTTP } from "cloudevents";
import { compile } from "json-schema-to-typescript";
import { InputData, JSONSchemaInput, quicktype } from "quicktype-core";
import { Webhook } from "standardwebhooks";

const { asyncapi, schemas, events, posts, binary } = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const answers = { diagnostics: [], operations: [], compiled: {}, errors: [], typescript: {}, go: {}, read: [], verified: [] };

for (const source of asyncapi) {
  const { diagnostics, document } = await new Parser().parse(fs.readFileSync(source, "utf8"), { source });
  answers.diagnostics.push(...diagnostics.map(({ code, message, path }) => ({ code, message, path })));
  answers.operations.push(document?.operations().length ?? 0);
}

const ajv = new Ajv({ strict: true, allErrors: true });
formats(ajv);
for (const [name, schema] of Object.entries(schemas)) ajv.addSchema(schema, name);
for (const name of Object.keys(schemas)) answers.compiled[name] = typeof ajv.getSchema(name);
for (const { schema, event } of events) {
  const valid = ajv.getSchema(schema);
  answers.errors.push(valid(event) ? [] : valid.errors.map((error) => `${error.instancePath} ${error.message}`));
}

for (const [name, schema] of Object.entries(schemas)) {
  const title = schema.title ?? name;
  answers.typescript[name] = await compile(structuredClone(schema), title, { format: false, bannerComment: "" });
  const input = new JSONSchemaInput(undefined);
  await input.addSource({ name: title, schema: JSON.stringify(schema) });
  const inputData = new InputData();
  inputData.addInput(input);
  const { lines } = await quicktype({ inputData, lang: "go", rendererOptions: { package: "events" } });
  answers.go[name] = lines.join("\n");
}

for (const { headers, body } of [...posts, ...binary]) {
  const event = HTTP.toEvent({ headers, body });
  event.validate();
  answers.read.push(event.toJSON());
}
for (const { headers, body, secret } of posts) {
  try {
    new Webhook(secret).verify(body, headers);
    answers.verified.push(true);
  } catch {
    answers.verified.push(false);
  }
}

answers.builtins = Object.getOwnPropertyNames(globalThis);
fs.writeFileSync(process.argv[3], JSON.stringify(answers));
