// Prints what npm's @mcap/core finds in an MCAP file: node read_with_npm.js FOLDER_WITH_node_modules FILE.mcap
const { createRequire } = require("node:module");
const { open } = require("node:fs/promises");
const path = require("node:path");

const load = createRequire(path.join(path.resolve(process.argv[2]), "index.js"));
const { McapIndexedReader } = load("@mcap/core");
const { FileHandleReadable } = load("@mcap/nodejs");
const { decompress } = load("fzstd");

async function main() {
  const handle = await open(process.argv[3], "r");
  const reader = await McapIndexedReader.Initialize({
    readable: new FileHandleReadable(handle),
    decompressHandlers: { zstd: (data, size) => decompress(data, new Uint8Array(Number(size))) },
  });
  const messages = {};
  for await (const message of reader.readMessages()) {
    const topic = reader.channelsById.get(message.channelId).topic;
    messages[topic] = (messages[topic] ?? 0) + 1;
  }
  const schemas = [...reader.schemasById.values()].map((schema) => schema.name);
  console.log(JSON.stringify({ profile: reader.header.profile, messages, schemas }));
  await handle.close();
}

main();
