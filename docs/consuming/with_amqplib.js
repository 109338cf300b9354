// Bills from a downstream queue into PostgreSQL, with Node's amqplib and pg: AMQP_URL, QUEUE, DATABASE say where.
"use strict";

const amqplib = require("amqplib");
const { Client } = require("pg");

// The key of money is (callid, record_id); of two tellings the one of the higher revision counts, whatever came first.
const UPSERT = `
INSERT INTO cdrs VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (callid, record_id) DO UPDATE SET revision = excluded.revision, outcome = excluded.outcome,
    talk_seconds = excluded.talk_seconds, billed_minutes = excluded.billed_minutes
WHERE excluded.revision > cdrs.revision`;

// One row for each CDR; none of an event that holds no call, such as an SMS.
function bills(event) {
  return (event.data.call?.cdrs ?? []).map((cdr) => [
    event.callid, cdr.record_id, event.revision, cdr.outcome, cdr.talk_seconds, cdr.billed_minutes,
  ]);
}

async function main() {
  const database = new Client({ connectionString: process.env.DATABASE });
  await database.connect();
  const connection = await amqplib.connect(process.env.AMQP_URL);
  const channel = await connection.createChannel();
  await channel.prefetch(32);
  await channel.checkQueue(process.env.QUEUE); // assertQueue would declare a classic queue, and gets 406

  let turn = Promise.resolve(); // one message after the other, as they share a transaction's connection
  async function take(message) {
    const told = JSON.parse(message.content);
    const events = message.properties.contentType.endsWith("-batch+json") ? told : [told];
    await database.query("BEGIN");
    for (const row of events.flatMap(bills)) await database.query(UPSERT, row);
    await database.query("COMMIT");
    channel.ack(message);
  }
  function failed(error) {
    console.error(error.message);
    process.exit(1); // what was not acked comes again
  }
  await channel.consume(process.env.QUEUE, (message) => {
    if (message === null) return failed(new Error("the broker ended the subscription"));
    turn = turn.then(() => take(message)).catch(failed);
  });
  connection.on("close", () => failed(new Error("the connection is gone")));
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
