"""Limits per user over real servers: two at once, one that was killed; and what the checks cost where much has happened."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import uuid
from typing import Any

from chat.protocol import Close, Code
from tests.parts.model_script import Gate, Text
from tests.parts.model_server import ModelServer
from tests.parts.postgres_server import Database
from tests.parts.redis_server import RedisServer
from tests.parts.site_process import TOP, NewSite, Server, User
from tests.parts.socket_client import Socket, open_socket


async def knock(server: Server, user: User, session_id: str) -> tuple[Socket, dict[str, Any]]:
    """A socket and its first frame."""
    socket = await open_socket(server, user, session_id, acknowledging=False)
    return socket, await socket.receive()


async def test_sockets_at_two_servers_and_one_of_them_killed(new_site: NewSite, redis_server: RedisServer) -> None:
    """Ten at once get as many in as may; once a killed server counts as dead its sockets make room, within 10 s."""
    site = new_site(servers=2, redis=redis_server, SOCKETS_PER_USER="3")
    user, (one, two) = site.new_user(), site.servers
    knocked = await asyncio.gather(*(knock(server, user, f"s-{n}") for n in range(5) for server in (one, two)))
    kept = [socket for socket, frame in knocked if frame["type"] == "connected"]
    refused = [(socket, frame) for socket, frame in knocked if frame["type"] == "error"]
    assert (len(kept), len(refused)) == (3, 7)
    for socket, frame in refused:
        assert frame["data"]["code"] == Code.LIMIT_REACHED
        assert f"in {frame['data']['retry_after']} seconds" in frame["data"]["message"]
        assert await socket.closed() == Close.TOO_MANY
    await asyncio.gather(*(socket.close() for socket in kept))
    for number in range(3):
        # What was just closed may take a moment to be counted out.
        while (await knock(one, user, f"t-{number}"))[1]["type"] == "error":  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.1)
    assert (await knock(two, user, "full"))[1]["type"] == "error"
    one.kill()
    async with asyncio.timeout(12):
        while True:
            back, frame = await knock(two, user, "back")
            if frame["type"] == "connected":
                break
            await asyncio.sleep(0.2)
    await back.close()


async def test_messages_and_runs_at_two_servers(new_site: NewSite, model_server: ModelServer) -> None:
    """What one server let in counts at the other, also where no Redis connects them."""
    site = new_site(servers=2, ACTIVE_RUNS_PER_USER="1", MESSAGES_PER_MINUTE="2")
    user, (one, two) = site.new_user(), site.servers
    name = model_server.script([Gate("go"), Text("done")])
    here, _ = await knock(one, user, "here")
    there, _ = await knock(two, user, "there")
    await here.chat(f"script:{name}", client_id="first")
    await here.receive_until("accepted")
    await there.chat("one session too many")
    active = (await there.receive_until("error"))["data"]
    assert active["code"] == Code.LIMIT_REACHED
    assert "being answered" in active["message"]
    same, _ = await knock(two, user, "here")
    await same.chat("waits behind it")
    await same.receive_until("accepted")
    await same.chat("one too many")
    minute = (await same.receive_until("error"))["data"]
    assert minute["code"] == Code.LIMIT_REACHED
    assert 50 <= minute["retry_after"] <= 60
    await same.chat(f"script:{name}", client_id="first")
    assert (await same.receive_until("accepted"))["data"]["duplicate"] is True
    model_server.open("go")
    await asyncio.gather(here.close(), there.close(), same.close())


# --- on PostgreSQL ----------------------------------------------------------------------------------------------------

RACE = """
import json, threading, uuid
from functools import partial
from django.contrib.auth.models import User
from django.db import connection
from chat import events, processes, quotas, runs
from chat.models import ChatSession, DailyUsage, OpenSocket, Run
from chat.protocol import Refused
from agents.steps import Step, StepType, Usage

def at_once(calls):
    start = threading.Barrier(len(calls))
    failed = []
    def run(call):
        start.wait()
        try:
            call()
        except Refused:
            pass
        except Exception as error:
            failed.append(repr(error))
        finally:
            connection.close()
    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return failed

user = User.objects.create_user("ada")
for name in ("here", "there"):
    processes.announce(name, "web", opened={}, closed=())
failed, counts = [], []
for round in range(10):
    sessions = [ChatSession.objects.create(public_id=f"{round}-{n}", owner=user, agent="writer") for n in range(8)]
    failed += at_once([partial(runs.accept, s.pk, message="go", agent=None, enable_reasoning=True) for s in sessions])
    failed += at_once([
        partial(quotas.open_socket, uuid.uuid4(), name, user_id=user.pk) for name in ("here", "there") for _ in range(4)
    ])
    counts.append((Run.objects.count(), OpenSocket.objects.count()))
    for run in Run.objects.all():
        claimed = runs.claim(run.session_id, worker="w", model="m")
    usage = Usage(input_tokens=100, output_tokens=1, reasoning_tokens=0)
    step = Step(number=1, type=StepType.THOUGHT, content="hm", iteration=1, usage=usage)
    failed += at_once([
        partial(events.record_steps, str(run.pk), attempt=run.attempt, steps=[step]) for run in Run.objects.all()
    ])
    counts[-1] += tuple(DailyUsage.objects.values_list("input_tokens", flat=True))
    for rows in (ChatSession.objects, OpenSocket.objects, DailyUsage.objects):
        rows.all().delete()
print(json.dumps({"failed": failed, "counts": counts}))
"""

# 20,000 sessions of the user with 4 runs each, as many of others, here and there one that is not finished; and one long session.
HISTORY = """
SET session_replication_role = replica;
INSERT INTO auth_user (username, password, email, first_name, last_name, is_superuser, is_staff, is_active, date_joined)
SELECT 'u' || n, '', '', '', '', false, false, true, now() FROM generate_series(1, 20) n;
INSERT INTO chat_chatsession (public_id, owner_id, title, agent, head, epoch, created_at, updated_at)
SELECT 's' || n, (SELECT min(id) FROM auth_user) + CASE WHEN n <= 20000 THEN 0 ELSE 1 + n % 19 END, '', 'writer', 4, 'e',
    now(), now() - n * interval '1 hour' FROM generate_series(1, 40000) n;
INSERT INTO chat_run (id, session_id, client_id, seq, message, agent, model, enable_reasoning, state, attempt, losses, worker,
    error_code, input_tokens, output_tokens, reasoning_tokens, created_at, started_at, ended_at)
SELECT gen_random_uuid(), s.id, n::text, n, 'm', 'writer', 'm', true, CASE WHEN live THEN 'queued' ELSE 'completed' END, 1, 0,
    'w', '', 1, 1, 0, s.updated_at - (4 - n) * interval '1 second', now(), CASE WHEN live THEN NULL ELSE now() END
FROM (SELECT s.*, n, n = 4 AND s.id % 2000 = 0 AS live FROM chat_chatsession s, generate_series(1, 4) n) s;
INSERT INTO chat_run (id, session_id, client_id, seq, message, agent, model, enable_reasoning, state, attempt, losses, worker,
    error_code, input_tokens, output_tokens, reasoning_tokens, created_at, started_at, ended_at)
SELECT gen_random_uuid(), (SELECT min(id) FROM chat_chatsession), 'm' || n, 100 + n, 'm', 'writer', 'm', true, 'completed', 1,
    0, 'w', '', 1, 1, 0, now() - n * interval '1 minute', now(), now() FROM generate_series(1, 20000) n;
UPDATE chat_chatsession SET updated_at = now() WHERE id = (SELECT min(id) FROM chat_chatsession);
ANALYZE;
"""

PLANS = """
import json
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from chat import runs
from chat.models import ChatSession

session = ChatSession.objects.order_by("pk").first()
with transaction.atomic():
    with CaptureQueriesContext(connection) as asked:
        runs.accept(session.pk, message="go", agent=None, enable_reasoning=True)
    statements = [query["sql"] for query in asked if "SELECT" in query["sql"] and "chat_" in query["sql"]]
    transaction.set_rollback(True)
found = []
for sql in statements:
    if not sql.startswith("SELECT"):
        continue
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sql)
        found.append((sql, cursor.fetchone()[0][0]))
print(json.dumps(found))
"""


def manage(url: str, *words: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, str(TOP / "manage.py"), *words],
        env={"PATH": "/usr/bin:/bin", "MODEL": "demo", "SECRET_KEY": uuid.uuid4().hex * 2, "DATABASE_URL": url, **env},
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_no_limit_is_passed_by_asking_many_times_at_once(site_database: Database) -> None:
    """On PostgreSQL, where transactions really run beside each other: ten rounds of eight at once, and no dead-lock."""
    out = manage(site_database.url, "shell", "-v", "0", "-c", RACE, MESSAGES_PER_MINUTE="3", SOCKETS_PER_USER="2")
    found = json.loads(out.splitlines()[-1])
    assert found == {"failed": [], "counts": [[3, 2, 300]] * 10}


def rows_read(plan: dict[str, Any]) -> float:
    """Rows that the plan's leaves went through, those that were filtered out included."""
    below = plan.get("Plans", [])
    own = 0.0
    if not any("Scan" in child["Node Type"] for child in below) and "Scan" in plan["Node Type"]:
        own = plan["Actual Loops"] * (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0))
    return own + sum(rows_read(child) for child in below)


def test_a_message_costs_no_more_where_much_has_happened(site_database: Database) -> None:
    """After 180,000 runs, 100,000 of them this user's and 20,000 of this session: no check goes through history."""
    site_database.query(HISTORY)
    out = manage(site_database.url, "shell", "-v", "0", "-c", PLANS, TOKENS_PER_DAY="1000")
    plans = json.loads(out.splitlines()[-1])
    assert len(plans) >= 6
    for sql, explained in plans:
        assert rows_read(explained["Plan"]) < 200, (sql, json.dumps(explained, indent=1))
