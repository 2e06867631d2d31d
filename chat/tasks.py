"""The tasks of the queue. Procrastinate looks for them here, in every process where there is PostgreSQL."""

from __future__ import annotations

from procrastinate.contrib.django import app

from chat import driver, run_queue


@app.task(name=run_queue.TASK)
async def drive(run_id: str) -> None:
    """Drive a run to its end. Where the queue cuts it off, the run goes on all the same: the queue brings runs, the driver keeps
    them.
    """
    await driver.current().drive(run_id)
