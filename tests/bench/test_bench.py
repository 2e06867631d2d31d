"""The bench itself, in small: that it runs, and that it would notice a token that is not as it should be."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from tests.bench import places
from tests.bench.bare import BareServer
from tests.bench.bench import Bench, hands
from tests.bench.loads import Load
from tests.bench.report import FULL, table_of
from tests.bench.table import Table, at_most, none
from tests.bench.tokens import Answer, judge, token
from tests.parts.site_process import NewSite
from tests.parts.stack import NewStack

TINY = dataclasses.replace(
    FULL,
    rounds=1,
    warm_up=Load(tabs=1, count=5, rate=50),
    live=Load(tabs=3, count=150, rate=50),
    short=Load(tabs=1, count=100, rate=500, batches=2),
    long=Load(tabs=1, count=300, rate=500),
    flood=Load(tabs=1, count=200, rate=0),
    idle=3,
    watch_seconds=0.0,
)

whole = "".join(token(number, 1.0) for number in range(4))
first, last = whole[:16], whole[16:]
good = Answer(count=4, pieces=[(1.1, 0, first), (1.2, 16, last)], recorded=(1.3, whole))


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_every_token_of_every_load_arrives_once_from_both_kinds_of_site(
    new_site: NewSite, new_stack: NewStack, tmp_path: Path
) -> None:
    """Each load on the one process and on a small stack; the counts are right and the table has a value for everything."""
    with hands() as (ready, asking):
        env = {**asking, **places.ENVIRONMENT}
        site, stack = new_site(**env), new_stack(webs=1, workers=1, **env)
        bare = BareServer(tmp_path)
        try:
            sites = [
                places.of_stack(stack, places.sign_in(stack, 6)),
                places.of_site(site, places.sign_in(site, 6)),
            ]
            bench = Bench(TINY, ready)
            for place in (*sites, places.of_bare(bare)):
                bench.warm_up(place)
                bench.lengths(place)
            bench.rounds(sites, places.of_bare(bare), places.of_bare(bare, "silent"))
            for place in sites:
                bench.flood(place, 1)
        finally:
            bare.close()

    table = table_of(bench.found, TINY)
    # Warm-up, two lengths beside one and many, a round, a flood.
    tokens = 5 + 2 * (2 * 100 + 300) + 3 * 150 + 200
    rows = {row.what.strip(): row.values for row in table.rows}
    assert rows["tokens checked"] == {"stack": tokens, "one process": tokens}
    assert rows["lost"] == rows["doubled"] == {"stack": 0, "one process": 0}
    assert all(row.values for row in table.rows)


@pytest.mark.parametrize(
    ("answer", "lost", "doubled"),
    [
        (good, 0, 0),
        # What was held back came with its step.
        (dataclasses.replace(good, pieces=good.pieces[:1]), 0, 0),
        (dataclasses.replace(good, recorded=None), 0, 0),
        (dataclasses.replace(good, recorded=None, pieces=good.pieces[:1]), 2, 0),
        (dataclasses.replace(good, recorded=(1.3, first)), 2, 0),
        (dataclasses.replace(good, recorded=(1.3, "")), 4, 0),
        (dataclasses.replace(good, pieces=[*good.pieces, good.pieces[-1]]), 0, 2),
        (dataclasses.replace(good, recorded=(1.3, whole + last)), 0, 4),
        (dataclasses.replace(good, count=3), 0, 1),
        (dataclasses.replace(good, pieces=[(1.1, 16, first)]), 0, 2),
    ],
)
def test_a_token_that_is_lost_doubled_or_in_a_wrong_place_is_counted(answer: Answer, lost: int, doubled: int) -> None:
    """Whatever way it takes."""
    reading = judge(answer)
    assert (reading.lost, reading.doubled) == (lost, doubled)


def test_a_token_is_as_old_as_its_way_was_long() -> None:
    """Also where its clock went around in between; one that came with its step waited for that."""
    around = 36**4 / 1000
    text = token(0, around - 0.05) + token(1, around - 0.05)
    reading = judge(Answer(count=2, pieces=[(around + 0.05, 0, text[:8])], recorded=(around + 0.25, text)))
    assert reading.delays == pytest.approx([0.1, 0.3])
    assert reading.held_back == 1


def test_the_table_says_which_targets_were_missed() -> None:
    """A value on its bound is within it."""
    table = Table(places=["stack", "one process"])
    table.add("cost", {"stack": 2.01, "one process": 2.0}, "times", digits=2, target=at_most(2))
    table.add("lost", {"stack": 0, "one process": 1}, target=none())
    table.add("size", {"one process": 1234}, "KiB")
    lines = [line.split("  ") for line in table.text().splitlines()]
    assert [[cell.strip() for cell in line if cell.strip()] for line in lines] == [
        ["stack", "one process", "to reach"],
        ["cost", "2.01 times", "missed", "2.00 times", "ok", "at most 2"],
        ["lost", "0", "ok", "1", "missed", "0"],
        ["size", "1,234 KiB"],
    ]
    assert table.missed == 2
