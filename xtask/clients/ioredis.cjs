// ioredis with its defaults against Tally and Redis: the same calls, the same answers.
// Usage: node ioredis.cjs TALLY_PORT REDIS_PORT. Ends with 1 when an answer differs.
"use strict";

const Redis = require("ioredis");
const { version } = require("ioredis/package.json");

const MAX = "9223372036854775807";

const CALLS = [
  ["incr", (r) => r.incr("n")],
  ["incrby", (r) => r.incrby("n", 41)],
  ["decr", (r) => r.decr("n")],
  ["decrby", (r) => r.decrby("n", 50)],
  ["get", (r) => r.get("n")],
  ["get of nothing", (r) => r.get("nothing")],
  ["mget", (r) => r.mget("n", "nothing", "n")],
  ["set", (r) => r.set("s", 5)],
  ["set with options", (r) => r.set("s", 6, "EX", 100, "XX", "GET")],
  ["set nx", (r) => r.set("s", 7, "NX")],
  ["ttl", async (r) => (await r.ttl("s")) > 90],
  ["persist", (r) => r.persist("s")],
  ["getdel", (r) => r.getdel("s")],
  ["exists", (r) => r.exists("s", "n")],
  ["type", (r) => r.type("n")],
  ["the greatest value", (r) => r.set("max", MAX)],
  ["incr beyond it", (r) => r.incr("max")],
  ["is kept to the digit", (r) => r.get("max")],
  ["multi", (r) => r.multi().incr("m").incrby("m", 4).get("m").exec()],
  ["multi without a pipeline", async (r) => {
    const answers = [await r.multi({ pipeline: false }), await r.incr("m"), await r.get("m")];
    return [...answers, await r.exec()];
  }],
  ["multi with an error", (r) => r.multi().set("max", MAX).incr("max").incr("m").exec().then(plain)],
  ["pipeline", (r) => r.pipeline().incr("p").incr("p").get("p").del("p").get("p").exec()],
  ["pipeline with an error", (r) => r.pipeline().set("max", MAX).incr("max").incr("m").exec().then(plain)],
  ["all at once", (r) => Promise.all(Array.from({ length: 1000 }, () => r.incr("many"))).then((all) => all.at(-1))],
  ["a broken amount", (r) => r.incrby("n", "abc")],
  ["wrong arity", (r) => r.call("INCR")],
  ["an unknown command", (r) => r.call("NOSUCH", "a")],
  ["scan stream", (r) => scanned(r)],
  ["del", (r) => r.del("n", "m", "nothing")],
  ["ping", (r) => r.ping()],
  ["info", async (r) => (await r.info()).includes("redis_version:")],
];

/** Errors within the answers of a pipeline, as text. */
function plain(answers) {
  return answers.map(([error, answer]) => [error && error.message, answer]);
}

async function scanned(r) {
  const found = new Set();
  for await (const keys of r.scanStream({ match: "m*" })) keys.forEach((key) => found.add(key));
  return [...found].sort();
}

async function attempt(call, client) {
  try {
    return JSON.stringify(await call(client));
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
}

async function main() {
  const [tally, redis] = process.argv.slice(2, 4).map((port) => new Redis({ port: Number(port) }));
  let different = 0;
  for (const [name, call] of CALLS) {
    const got = await attempt(call, tally);
    const expected = await attempt(call, redis);
    if (got !== expected) {
      different += 1;
      console.log(`DIFFERENT ${name}: Tally ${got.slice(0, 300)}, Redis ${expected.slice(0, 300)}`);
    }
  }
  console.log(`ioredis ${version}: ${CALLS.length - different} answers are the same`);
  await Promise.all([tally.quit(), redis.quit()]);
  process.exit(different === 0 ? 0 : 1);
}

main();
