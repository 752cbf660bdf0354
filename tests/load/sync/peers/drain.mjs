// Drains no-op jobs by a Node peer's own worker: `node drain.mjs <peer> <database url> <jobs> <held>`.
// Speaks the protocol of `stages.py`. The window opens when the worker starts and closes when every job is done.
import { createRequire } from "node:module";

const JOBS_A_CALL = 1000;
const JOB_BYTES = 450;
const BATCH = 500;
const CONCURRENCY = 24;
const require = createRequire(`${process.env.PEERS_NODE}/package.json`);
const say = (facts) => process.stdout.write(JSON.stringify(facts) + "\n");
const now = () => performance.now() / 1000;
const cpu = () => {
  const used = process.cpuUsage();
  return (used.user + used.system) / 1e6;
};

function bodies(start, count) {
  return Array.from({ length: count }, (_, number) => {
    const id = String(start + number).padStart(12, "0");
    const empty = JSON.stringify({ external_id: id, note: "" }).length;
    return { external_id: id, note: "x".repeat(JOB_BYTES - empty) };
  });
}

async function fill(jobs, enqueue) {
  for (let start = 0; start < jobs; start += JOBS_A_CALL) {
    await enqueue(bodies(start, Math.min(JOBS_A_CALL, jobs - start)));
  }
}

async function measure(pool, jobs, held, work) {
  let holder = null;
  if (held) {
    holder = await pool.connect();
    await holder.query("begin isolation level repeatable read read only");
    await holder.query("select count(*) from pg_class");
  }
  say({ stage: "measuring" });
  const [began, used] = [now(), cpu()];
  await work();
  say({ stage: "measured", events: jobs, seconds: now() - began, cpu_s: cpu() - used });
  if (holder) {
    await holder.query("rollback");
    holder.release();
  }
}

const finish = (jobs, stored) => say({ stage: "done", acked: jobs, distinct: jobs, stored: Number(stored) });

async function graphile(pool, jobs, held) {
  const { makeWorkerUtils, run, Logger } = require("graphile-worker");
  const logger = new Logger(() => () => {});
  const utils = await makeWorkerUtils({ pgPool: pool, logger });
  await utils.migrate();
  await fill(jobs, (bodies) => utils.addJobs(bodies.map((payload) => ({ identifier: "job", payload }))));
  const left = async () => {
    const { rows } = await pool.query("select count(*) as n from graphile_worker._private_jobs");
    return Number(rows[0].n);
  };
  let runner = null;
  await measure(pool, jobs, held, async () => {
    let done = 0;
    let finished = null;
    const all = new Promise((resolve) => (finished = resolve));
    runner = await run({
      pgPool: pool,
      logger,
      noHandleSignals: true,
      concurrency: CONCURRENCY,
      preset: { worker: { localQueue: { size: BATCH }, completeJobBatchDelay: 0 } },
      taskList: {
        job: async () => {
          if (++done === jobs) finished();
        },
      },
    });
    await all;
    while ((await left()) > 0) await new Promise((resolve) => setTimeout(resolve, 2));
  });
  finish(jobs, jobs - (await left()));
  await runner.stop();
  await utils.release();
}

async function pgboss(pool, jobs, held) {
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
  await fill(jobs, (bodies) => boss.insert(bodies.map((data) => ({ name: "job", data }))));
  await measure(pool, jobs, held, async () => {
    for (;;) {
      const batch = await boss.fetch("job", { batchSize: BATCH });
      if (!batch.length) break;
      await boss.complete("job", batch.map((job) => job.id));
    }
  });
  const { rows } = await pool.query("select count(*) as n from pgboss.job where state = 'completed'");
  finish(jobs, rows[0].n);
  await boss.stop({ graceful: false });
}

const [peer, url, jobs, held] = process.argv.slice(2);
const { Pool } = require("pg");
const pool = new Pool({ connectionString: url, max: 4 });
await { "graphile-worker": graphile, "pg-boss": pgboss }[peer](pool, Number(jobs), held === "held");
await pool.end();
