// A producer in another language, built from the protos alone: records one event, a batch and a stream of batches.
//
//     node producer.mjs ADDRESS TENANT TRACEPARENT
//
// Prints one JSON line for each thing it did. Everything it knows of Headwater is in ../../../proto (PROTO_DIR).

import { fileURLToPath } from "node:url";
import { setTimeout as pause } from "node:timers/promises";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";
import protobuf from "protobufjs";

const CALL_S = 10;
const TRIES_MAX = 8;
const WINDOW = 4; // batches that may wait for their acknowledgement
const [address, tenant_id, traceparent] = process.argv.slice(2);
const protos = process.env.PROTO_DIR ?? fileURLToPath(new URL("../../../proto", import.meta.url));
const options = { keepCase: true, longs: Number, enums: String, defaults: true, includeDirs: [protos] };
const { headwater } = grpc.loadPackageDefinition(
  loader.loadSync("headwater/ingest/v1/ingest.proto", options),
);
const client = new headwater.ingest.v1.IngestService(address, grpc.credentials.createInsecure(), {
  "grpc.enable_retries": 0, // this program retries by itself: two layers would multiply
});

const say = (what, facts) => process.stdout.write(`${JSON.stringify({ what, ...facts })}\n`);

function metadata() {
  const sent = new grpc.Metadata();
  sent.set("traceparent", traceparent);
  return sent;
}

function event(number, fields = {}) {
  const payload = { email: `node${number}@example.com`, name: `Node ${number}` };
  const event_time = { seconds: 1760000000 + number, nanos: 0 };
  const body = Buffer.from(JSON.stringify(fields.payload ?? payload));
  return { source: "webshop", object: "contact", external_id: `node-${number}`, event_time, ...fields, payload: body };
}

// google.rpc.Status, as it travels in grpc-status-details-bin: the types that this program reads.
const rpc = protobuf.parse(`syntax = "proto3"; package google.rpc;
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message Duration { int64 seconds = 1; int32 nanos = 2; }
  message RetryInfo { Duration retry_delay = 1; }
  message ErrorInfo { string reason = 1; string domain = 2; }
  message FieldViolation { string field = 1; string description = 2; }
  message BadRequest { repeated FieldViolation field_violations = 1; }`, { keepCase: true }).root;

function details(error) {
  const [packed] = error.metadata?.get("grpc-status-details-bin") ?? [];
  if (!packed) return {};
  const found = {};
  for (const any of rpc.lookupType("google.rpc.Status").decode(packed).details) {
    const name = any.type_url.split("/").pop();
    const type = ["RetryInfo", "ErrorInfo", "BadRequest"].find((kind) => name === `google.rpc.${kind}`);
    if (type) found[type] = rpc.lookupType(name).decode(any.value);
  }
  return found;
}

function retryAfterS(error, failures) {
  const passing = [grpc.status.UNAVAILABLE, grpc.status.RESOURCE_EXHAUSTED, grpc.status.DEADLINE_EXCEEDED];
  if (!passing.includes(error.code) || failures >= TRIES_MAX) return undefined;
  const delay = details(error).RetryInfo?.retry_delay;
  const floor = delay ? Number(delay.seconds) + delay.nanos / 1e9 : 0;
  return floor + Math.random() * Math.min(5, 0.1 * 2 ** failures); // jitter goes on top of what was asked for
}

async function call(method, request) {
  for (let failures = 1; ; failures += 1) {
    try {
      const deadline = new Date(Date.now() + CALL_S * 1000);
      return await new Promise((resolve, reject) => {
        client[method](request, metadata(), { deadline }, (error, answer) => (error ? reject(error) : resolve(answer)));
      });
    } catch (error) {
      const pauseS = retryAfterS(error, failures);
      if (pauseS === undefined) throw error;
      say("retry", { code: grpc.status[error.code], retry_info: "RetryInfo" in details(error), failures });
      await pause(pauseS * 1000);
    }
  }
}

// Everything unacknowledged is sent again when a stream breaks; recording is idempotent.
async function stream(batches) {
  const outcomes = new Map();
  for (let failures = 1; outcomes.size < batches.length; failures += 1) {
    try {
      await converse(batches, outcomes);
    } catch (error) {
      const pauseS = retryAfterS(error, failures);
      if (pauseS === undefined) throw error;
      say("retry", { code: grpc.status[error.code], retry_info: "RetryInfo" in details(error), failures });
      await pause(pauseS * 1000);
    }
  }
  return batches.map((_, index) => outcomes.get(index + 1));
}

function converse(batches, outcomes) {
  const due = batches.map((_, index) => index + 1).filter((number) => !outcomes.has(number));
  return new Promise((resolve, reject) => {
    const conversation = client.StreamEvents(metadata());
    let written = 0;
    let settled = 0;
    const write = () => {
      for (; written < due.length && written - settled < WINDOW; written += 1) {
        conversation.write({ batch_number: due[written], tenant_id, events: batches[due[written] - 1] });
      }
      if (settled === due.length) conversation.end();
    };
    conversation.on("data", (answer) => {
      outcomes.set(answer.batch_number, answer.outcomes);
      settled += 1;
      write();
    });
    conversation.on("error", reject);
    conversation.on("end", resolve);
    write();
  });
}

const dispositions = (outcomes) => outcomes.map((outcome) => outcome.disposition.replace("DISPOSITION_", ""));

const one = await call("RecordEvent", { tenant_id, event: event(1) });
say("one", { disposition: dispositions([one.outcome])[0], event_key: one.outcome.event_key });

const broken = event(3, { payload: { email: "no address" } });
const batch = [event(1), event(2), broken, event(4, { external_id: "" })];
const answer = await call("BatchRecordEvents", { tenant_id, events: batch });
const rules = answer.outcomes.map((outcome) => outcome.violations.map((item) => `${item.field}: ${item.rule}`));
say("batch", { dispositions: dispositions(answer.outcomes), rules });

const batches = Array.from({ length: 10 }, (_, n) => Array.from({ length: 50 }, (_, m) => event(100 + n * 50 + m)));
const acknowledged = await stream(batches);
const keys = acknowledged.flat().map((outcome) => outcome.event_key);
say("stream", { batches: acknowledged.length, dispositions: dispositions(acknowledged.flat()), keys });

try {
  await call("RecordEvent", { tenant_id, event: event(5, { source: "Not A Source" }) });
} catch (error) {
  const { BadRequest, ErrorInfo } = details(error);
  const fields = BadRequest?.field_violations.map((item) => item.field);
  say("refused", { code: grpc.status[error.code], reason: ErrorInfo?.reason, fields });
}
client.close();
