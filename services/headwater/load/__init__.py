"""The load generator's engine: what is sent, when, over what, and what the answers took.

Speaks to ingest through its wire contract only, like any producer. `headwater load` (room cli) is its face.

Benches drive it with the same pieces, inside one process:

    meter = Meter()
    supply = Supply(Mixture(shape="stream", batch=100, tenants=("acme",)), random.Random(1), "run00001", 0)
    post = Post(supply, meter, Ledger("stream", supply, meter), Conduct(ends_s=time.monotonic() + 5))
    async with open_raw(address, channels=2) as raws, anyio.create_task_group() as tasks:
        for raw in raws:
            tasks.start_soon(StreamSender(raw, post, endless(time.monotonic)).run)
    sheet = meter.take()  # counts, errors, latencies corrected and uncorrected

`due` may be any iterator of moments (`schedule.arrivals` for an open loop); callers of unary methods use `run_caller`.
The tenants need a policy first; made records keep that of the samples.
"""
