"""`make compose-proof`: the stack of docker-compose.yml, built, started twice over, and killed in mid-run.

It builds the image, starts two web servers and two workers, makes the first administrator by the link in the log, signs in
through the proxy, asks, and kills (SIGKILL) the worker that drives the run and a web server. Every tab, a fresh one and the
database must hold the same transcript in the end. Then it stops all servers and workers in mid-run, and starts them again.
The exit code is 0 if all of that went well; what failed is printed with the logs. Everything is removed again.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from scripts.containers import Failed, Project, find_compose
from tests.parts.child import free_port
from tests.parts.socket_client import Frame, LiveTab, open_tab

TOP = Path(__file__).resolve().parent.parent
START_SECONDS = 180
RUN_SECONDS = 90
SESSION = "compose-proof"
NAME = "ada"
PASSWORD = "a long pass phrase of the proof"  # noqa: S105 - of an installation that is gone when the proof ends
# About fifteen seconds of the demo.
QUESTION = "What is 12.5% of 80, and what time is it in Tokyo?"
TOKEN_SECONDS = "0.2"  # noqa: S105 - seconds between two words
TABS = 4
# The frames of all that is recorded of a session, as the site would send them today.
FRAMES = """
import json, sys, django
django.setup()
from chat import frames, models
rows = models.Event.objects.filter(session__public_id=sys.argv[1]).select_related("run").order_by("seq")
found = [json.loads(frame) for row in rows for frame in frames.of(row)]
print(json.dumps([frame for frame in found if "seq" in frame]))
"""


@dataclass
class Proof:
    """What is known of the stack under proof, and what was found."""

    project: Project
    port: int
    found: list[str] = field(default_factory=list)
    cookie_header: str = ""

    # As a door of `open_tab`.
    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cookie(self, user: object) -> str:
        return self.cookie_header

    def note(self, what: str, value: str) -> None:
        self.found.append(f"{what:<44} {value}")
        say(f"{what}: {value}")

    def check(self, what: str, holds: bool, otherwise: str = "") -> None:
        """Note a promise that holds. Raises `Failed` for one that does not."""
        if not holds:
            raise Failed(f"It does not hold that {what}. {otherwise}")
        self.note(what, "yes")

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.note(what, f"{time.monotonic() - begun:.1f} s")


def say(text: str) -> None:
    print(text, flush=True)


def copy_of_the_tree(folder: Path) -> Path:
    """The tree as a checkout has it, with an `.env` of its own: nobody's settings and passwords are touched."""
    ignored = [line.rstrip("/") for line in (TOP / ".gitignore").read_text().splitlines()]
    return Path(shutil.copytree(TOP, folder / "glassbox", ignore=shutil.ignore_patterns(".git", *ignored)))


# --- people -----------------------------------------------------------------------------------------------------------


def make_administrator(proof: Proof) -> None:
    """By the link that a web server prints, as the README tells."""
    logs = "".join(proof.project.logs(name, lines=200) for name in proof.project.containers("web"))
    link = re.search(rf"{re.escape(proof.origin)}/accounts/first-admin/\S+", logs)
    if link is None:
        raise Failed("No web server printed the link that makes the first administrator.")
    with proof_client(proof) as client:
        page = send_form(client, link[0], username=NAME, password1=PASSWORD, password2=PASSWORD)
    proof.check(
        "the link in the log makes the administrator", page.is_success and "sessionid" in client.cookies, page.text
    )


def sign_in(proof: Proof) -> None:
    with proof_client(proof) as client:
        page = send_form(client, "/accounts/login/", username=NAME, password=PASSWORD)
        proof.check("signing in through the proxy works", page.is_success and "sessionid" in client.cookies, page.text)
        proof.cookie_header = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        script = re.search(r'<script type="module" src="([^"]+)"', page.text)
        proof.check("the page's script comes", script is not None and client.get(script[1]).is_success)


def proof_client(proof: Proof) -> httpx.Client:
    return httpx.Client(base_url=proof.origin, trust_env=False, timeout=20, follow_redirects=True)


def send_form(client: httpx.Client, url: str, **form: str) -> httpx.Response:
    page = client.get(url)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    if token is None:
        raise Failed(f"{url} has no form, but answers {page.status_code}: {page.text[:500]}")
    origin = str(client.base_url).rstrip("/")
    return client.post(url, data={**form, "csrfmiddlewaretoken": token[1]}, headers={"Origin": origin})


# --- the database -----------------------------------------------------------------------------------------------------


def query(proof: Proof, sql: str) -> str:
    (postgres,) = proof.project.containers("postgres")
    return proof.project.execute(postgres, "psql", "-U", "glassbox", "-d", "glassbox", "-Atc", sql).strip()


def recorded_frames(proof: Proof) -> list[Frame]:
    web = proof.project.containers("web")[-1]
    # Longer than a lost packet of the engine's DNS takes, whose tables have just changed; that is not what is proved.
    env = ["env", "DJANGO_SETTINGS_MODULE=reasoning_site.settings", "DATABASE_SECONDS=30"]
    found: list[Frame] = json.loads(proof.project.execute(web, *env, "python", "-c", FRAMES, SESSION))
    return found


# --- the proof --------------------------------------------------------------------------------------------------------


async def until_writing(tab: LiveTab, run_id: str, *, attempt: int = 1) -> None:
    """Return when this tab sees text of that attempt come in."""
    await tab.until(
        lambda tab: (
            run_id in tab.runs
            and tab.runs[run_id].attempt >= attempt
            and any(len(draft.text) > 20 for draft in tab.runs[run_id].drafts.values())
        ),
        timeout=RUN_SECONDS,
    )


async def check_that_all_hold_the_same(proof: Proof, tabs: list[LiveTab], run_id: str) -> None:
    for tab in tabs:
        await tab.until_ended(run_id, timeout=RUN_SECONDS)
        await tab.until_current()
    rows = await asyncio.to_thread(recorded_frames, proof)
    async with open_tab(proof, NAME, SESSION) as fresh:
        await fresh.until_current()
        ended = fresh.tab.runs[run_id].state
        proof.check("the run completed", ended == "completed", f"It {ended}.")
        proof.check("the log has no gap", [row["seq"] for row in rows] == list(range(1, len(rows) + 1)))
        proof.check(
            "a fresh load equals the database", fresh.transcript() == rows, difference(fresh.transcript(), rows)
        )
        for number, tab in enumerate(tabs, 1):
            same = tab.transcript() == rows and tab.tab.state() == fresh.tab.state()
            proof.check(f"tab {number} equals both", same, difference(tab.transcript(), rows))
    proof.note("events recorded", str(len(rows)))


def difference(have: list[Frame], wanted: list[Frame]) -> str:
    pairs = [(one, other) for one, other in zip(have, wanted, strict=False) if one != other]
    return f"{len(have)} frames and {len(wanted)} rows; the first that differ: {pairs[:1]}"


async def kill_in_mid_run(proof: Proof, tabs: list[LiveTab]) -> None:
    run_id = await tabs[0].say(QUESTION)
    await asyncio.gather(*(until_writing(tab, run_id) for tab in tabs))
    worker = await asyncio.to_thread(worker_of, proof, run_id)
    web = proof.project.containers("web")[0]
    begun = time.monotonic()
    await asyncio.gather(*(asyncio.to_thread(proof.project.kill, name) for name in (worker, web)))
    say(f"Killed {worker}, which drove the run, and {web}.")
    await asyncio.gather(*(until_writing(tab, run_id, attempt=2) for tab in tabs))
    proof.note("from the kill to text in every tab again", f"{time.monotonic() - begun:.1f} s")
    await check_that_all_hold_the_same(proof, tabs, run_id)
    again = await asyncio.to_thread(worker_of, proof, run_id)
    proof.check("another worker went on", again != worker, f"Both were {worker}.")
    cut = sum(1 for tab in tabs if tab.close_codes)
    proof.note("tabs that lost their server", f"{cut} of {len(tabs)}, closed with {[tab.close_codes for tab in tabs]}")
    proof.check("some tabs were on the killed server", cut > 0)
    doubled = "SELECT count(*) - count(DISTINCT call_id) FROM chat_event WHERE step_type = 'tool_result'"
    proof.check("no tool answered twice", query(proof, doubled) == "0")


def worker_of(proof: Proof, run_id: str) -> str:
    """The container that has driven the run last: a worker's name begins with its host's, which is the container's id."""
    name = query(proof, f"SELECT worker FROM chat_run WHERE id = '{run_id}'")  # noqa: S608 - the id is the site's
    for container in proof.project.containers("worker"):
        if name.startswith(proof.project.hostname(container)):
            return container
    raise Failed(f"No container is the worker {name!r}.")


async def stop_and_go_on(proof: Proof, tabs: list[LiveTab]) -> None:
    """Everything that is ours stops in mid-run, as at an update, and starts again."""
    run_id = await tabs[0].say(QUESTION)
    await until_writing(tabs[-1], run_id)
    begun = time.monotonic()
    codes = await asyncio.to_thread(proof.project.stop, "web", "worker")
    proof.note("a graceful stop of webs and workers took", f"{time.monotonic() - begun:.1f} s")
    proof.check("each ended with 0", set(codes.values()) == {0}, str(codes))
    losses = query(proof, f"SELECT losses FROM chat_run WHERE id = '{run_id}'")  # noqa: S608 - the id is the site's
    proof.check("the run was handed over, not lost", losses == "0", losses)
    begun = time.monotonic()
    await asyncio.to_thread(proof.project.start_again, "web", "worker", seconds=START_SECONDS)
    proof.note("from the start to healthy again", f"{time.monotonic() - begun:.1f} s")
    await check_that_all_hold_the_same(proof, tabs, run_id)


async def watch(proof: Proof) -> None:
    async with AsyncExitStack() as stack:
        tabs = [await stack.enter_async_context(open_tab(proof, NAME, SESSION)) for _ in range(TABS)]
        await kill_in_mid_run(proof, tabs)
        with proof.timed("the killed ones are healthy again after"):
            await asyncio.to_thread(proof.project.start_again, "web", "worker", seconds=START_SECONDS)
        await stop_and_go_on(proof, tabs)


def prove(proof: Proof) -> None:
    project = proof.project
    project.get_images()
    with proof.timed("building the image took"):
        project.build()
    base, image = project.size(project.base), project.size(project.services["web"]["image"])
    proof.note("the image has", f"{image / 1e6:.0f} MB, {(image - base) / 1e6:.0f} of them on top of {project.base}")
    with proof.timed("from nothing to all healthy"):
        project.start(seconds=START_SECONDS)
    running = [name for name, state in project.states().items() if state.startswith("Up")]
    users = {name: project.execute(name, "id", "-u").strip() for name in running}
    proof.check("no container runs as root", len(users) > 6 and "0" not in users.values(), str(users))
    make_administrator(proof)
    sign_in(proof)
    asyncio.run(watch(proof))


def tell_logs(project: Project) -> None:
    for container, state in project.states().items():
        say(f"\n--- {container}: {state} ---\n{project.logs(container)}")


def main() -> int:
    # As Ctrl-C: whoever ends it leaves nothing behind, either.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="glassbox-compose-") as folder:
        tree, port = copy_of_the_tree(Path(folder)), free_port()
        subprocess.run(["sh", "scripts/secrets.sh"], cwd=tree, check=True)
        with (tree / ".env").open("a") as env:
            env.write(f"PORT={port}\nMODEL=demo\nDEMO_TOKEN_SECONDS={TOKEN_SECONDS}\n")
        try:
            compose = find_compose()
        except Failed as failure:
            say(str(failure))
            return 2
        project = Project(tree, compose=compose, name=f"glassbox-proof-{port}", scale={"web": 2, "worker": 2})
        proof = Proof(project, port)
        failed = "It was broken off."
        try:
            prove(proof)
            failed = ""
        except (Failed, TimeoutError, AssertionError, httpx.HTTPError) as failure:
            failed = f"{type(failure).__name__}: {failure}"
        finally:
            if failed:
                tell_logs(project)
            project.remove()
    say(f"\n== {'FAILED' if failed else 'passed'} in {time.monotonic() - begun:.0f} s, with {' '.join(compose)} ==")
    for line in proof.found:
        say(line)
    if failed:
        say(failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
