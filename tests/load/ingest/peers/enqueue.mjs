// Enqueues jobs by a Node peer's own bulk call: `node enqueue.mjs <peer> <database url> <seconds>`.
// Speaks the protocol of `stages.py`.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const JOBS_A_CALL = 1000;
const JOB_BYTES = 450;
const WARM_UP_S = 0.5;
const require = createRequire(pathToFileURL(`${process.env.PEERS_NODE}/package.json`));
const say = (facts) => process.stdout.write(JSON.stringify(facts) + "\n");
const now = () => performance.now() / 1000;
const cpu = () => {
  const used = process.cpuUsage();
  return (used.user + used.system) / 1e6;
};

function bodies(call) {
  return Array.from({ length: JOBS_A_CALL }, (_, number) => {
    const id = `${String(call).padStart(8, "0")}-${String(number).padStart(4, "0")}`;
    const empty = JSON.stringify({ external_id: id, note: "" }).length;
    return { external_id: id, note: "x".repeat(JOB_BYTES - empty) };
  });
}

async function run(enqueue, seconds) {
  let calls = 0;
  const opens = now() + WARM_UP_S;
  while (now() < opens) await enqueue(bodies(calls++));
  say({ stage: "measuring" });
  const [first, began, used] = [calls, now(), cpu()];
  while (now() - began < seconds) await enqueue(bodies(calls++));
  say({
    stage: "measured",
    events: (calls - first) * JOBS_A_CALL,
    seconds: now() - began,
    cpu_s: cpu() - used,
  });
  return calls * JOBS_A_CALL;
}

function finish(total, stored) {
  const rss_bytes = process.resourceUsage().maxRSS * 1024;
  say({ stage: "done", acked: total, distinct: total, stored: Number(stored), rss_bytes });
}

async function graphile(pool, seconds) {
  const { makeWorkerUtils, Logger } = require("graphile-worker");
  const utils = await makeWorkerUtils({ pgPool: pool, logger: new Logger(() => () => {}) });
  await utils.migrate();
  const total = await run(
    (jobs) => utils.addJobs(jobs.map((payload) => ({ identifier: "job", payload }))),
    seconds,
  );
  const { rows } = await pool.query("select count(*) as n from graphile_worker._private_jobs");
  finish(total, rows[0].n);
  await utils.release();
}

async function pgboss(pool, seconds) {
  const PgBoss = require("pg-boss");
  const boss = new PgBoss({
    db: { executeSql: (text, values) => pool.query(text, values) },
    supervise: false,
    schedule: false,
  });
  boss.on("error", (error) => {
    throw error;
  });
  await boss.start();
  await boss.createQueue("job");
  const total = await run((jobs) => boss.insert(jobs.map((data) => ({ name: "job", data }))), seconds);
  const { rows } = await pool.query("select count(*) as n from pgboss.job");
  finish(total, rows[0].n);
  await boss.stop({ graceful: false });
}

const [peer, url, seconds] = process.argv.slice(2);
const { Pool } = require("pg");
const pool = new Pool({ connectionString: url, max: 2 });
await { "graphile-worker": graphile, "pg-boss": pgboss }[peer](pool, Number(seconds));
await pool.end();
