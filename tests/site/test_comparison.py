"""Two runs side by side in the admin."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from chat.comparison import difference
from chat.models import Run
from tests.site.rows import client_of, make_session
from tests.site.test_transcripts import compare, more_steps


def test_the_difference_of_two_texts() -> None:
    """Word by word, line by line where they are long, and not at all where that would take for ever; nothing is lost."""
    assert difference("It is 42.", "It was 42.") == [
        ("same", "It"),
        ("left", " is"),
        ("right", " was"),
        ("same", " 42."),
    ]
    assert difference("", "new") == [("right", "new")]
    assert difference("", "") == []
    long = "\n".join(f"line {number} of many words" for number in range(500))
    parts = difference(long, long.replace("line 250", "line 0250"))
    assert parts is not None
    assert [text for what, text in parts if what == "left"] == ["line 250 of many words\n"]
    assert "".join(text for what, text in parts if what != "right") == long
    assert difference("\n" * 5_000 + "x " * 2_000, "y") is None


@pytest.mark.parametrize("between", [" ", "\n", ".\n", ",", " same "])
def test_texts_that_share_only_what_is_between_their_words_share_nothing(between: str) -> None:
    """To find that, word by word, would take the cube of their length."""
    left, right = (between.join(f"{side}{number}" for number in range(990)) for side in "ab")
    assert difference(left, right) == [("left", left), ("right", right)]


def test_a_comparison_says_what_differs(owner: User, superuser: User) -> None:
    """Step by step, in their order, and in the totals."""
    left, right = make_session(owner, "left"), make_session(owner, "right", text="other")
    more_steps(left, 1, content="only here")
    Run.objects.filter(session=right).update(input_tokens=7)
    compared = client_of(superuser).get(compare(left, right)).context["compared"]
    assert [pair.verdict for pair in compared.pairs] == ["other arguments", "only left"]
    assert [total.name for total in compared.totals if total.differs] == ["Tokens read", "Steps"]
    same = client_of(superuser).get(compare(left, left)).context["compared"]
    assert {pair.verdict for pair in same.pairs} == {"the same"}
    assert not any(total.differs for total in same.totals)


@pytest.mark.parametrize("chosen", [1, 2, 3])
def test_two_runs_are_compared_and_no_other_number(chosen: int, owner: User, superuser: User) -> None:
    for number in range(3):
        make_session(owner, f"s{number}")
    runs = [str(pk) for pk in Run.objects.order_by("created_at").values_list("pk", flat=True)][:chosen]
    client = client_of(superuser)
    address = reverse("admin:chat_run_changelist")
    client.get(address)
    token = client.cookies["csrftoken"].value if "csrftoken" in client.cookies else ""
    answer = client.post(
        address, {"action": "compare", "_selected_action": runs, "csrfmiddlewaretoken": token}, follow=True
    )
    if chosen == 2:
        assert answer.redirect_chain[0][0] == reverse("admin:chat_compare", query={"left": runs[0], "right": runs[1]})
    else:
        assert "Select two runs to compare" in answer.text
