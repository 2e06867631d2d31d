"""The admin reads transcripts in the whole stack: on PostgreSQL, live from a worker, on whichever web server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.parts.model_script import Gate, Text, ToolCall
from tests.parts.model_server import ModelServer
from tests.parts.socket_client import open_socket, open_tab
from tests.parts.stack import NewStack


async def test_the_staff_watches_and_reads(new_stack: NewStack, model_server: ModelServer) -> None:
    """The drafts and the log come from the worker through another web server; the parts beside say what the database holds."""
    stack = new_stack()
    user, admin = stack.new_user(), stack.new_user(admin=True)
    name = model_server.script(
        [ToolCall("calculator", {"expression": "1/0"})], [Text("No"), Gate("middle"), Text(" result.")]
    )
    async with open_tab(stack.webs[0], user, "s") as tab:
        run_id = await tab.say(f"script:{name}")
        await model_server.at("middle")
        (row,) = stack.query("SELECT id FROM chat_chatsession WHERE public_id = %s", "s")
        pk = str(row["id"])
        async with await open_socket(stack.webs[1], admin, pk, place="ws/admin/chat") as watching:
            await watching.receive_until("connected")
            await watching.send("resume", after=0)
            draft = await watching.receive_until("reasoning_delta")
            assert draft["data"]["content"] == "No"
            model_server.open("middle")
            await watching.receive_until("reasoning_complete")
            await tab.until_ended(run_id)
            frames = [frame for frame in watching.frames if "seq" in frame]
            assert frames == tab.transcript()
    rows = [row for row in stack.events("s") if row["type"] == "step"]

    def read() -> dict[str, Any]:
        with stack.client(admin) as client:
            address = f"/admin/chat/chatsession/{pk}/transcript/"
            assert client.get(address).status_code == 200
            compared = client.get(f"/admin/chat/run/compare/?left={run_id}&right={run_id}")
            assert compared.status_code == 200
            parts = {part: client.get(f"{address}{part}/{run_id}/").json() for part in ("frames", "steps", "messages")}
            return parts | {"facts": client.get(f"{address}facts/").json()}

    parts = await asyncio.to_thread(read)
    assert [json.loads(text) for text in parts["frames"]["items"]] == frames
    assert [json.loads(text)["seq"] for text in parts["steps"]["items"]] == [row["seq"] for row in rows]
    facts = parts["facts"]["items"]
    assert [fact["seq"] for fact in facts] == [row["seq"] for row in rows]
    assert [fact["failed"] for fact in facts] == [bool(row["data"].get("is_error")) for row in rows]
    assert [fact["failed"] for fact in facts].count(True) == 1
    assert parts["messages"]["items"][-1] == {"role": "assistant", "text": "No result."}
    readings = stack.query("SELECT how, count(*) AS number FROM chat_reading GROUP BY how ORDER BY how")
    assert [(row["how"], row["number"]) for row in readings] == [("compared", 2), ("read", 2)]
