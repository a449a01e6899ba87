"""What a reply says beside what happened: why, and what to do next."""

from tests.conftest import Person


async def test_whoever_finds_a_claim_waiting_hears_that_nobody_will_start_it(ben: Person) -> None:
    run_id = await ben.starts("/run quick")
    how = "No worker is running, so it waits: start one with baton worker."
    for said in (f"/resume {run_id}", "/resume", "/status"):
        assert (await ben.says(said)).reply.endswith(how), said
    late = await ben.says(f"/cancel {run_id}", seen_epoch=7)
    assert "has moved on since you looked" in late.reply
    assert late.reply.endswith(how)


async def test_nothing_is_said_of_workers_where_one_lives(ana: Person) -> None:
    run_id = await ana.starts("/run slow")
    await ana.sees_status(run_id, "running")
    for said, more in ((f"/resume {run_id}", {}), (f"/cancel {run_id}", {"seen_epoch": 7})):
        assert "No worker" not in (await ana.says(said, **more)).reply
