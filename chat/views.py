"""The pages: one session each, the list of the others beside it. What happens in a session comes over its socket."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from agents.model_choice import DEMO
from agents.registry import AGENTS, DEFAULT_AGENT
from chat import protocol, site_notices
from chat.access import NotYours, get_session, sessions_of
from chat.models import ChatSession, new_public_id

LISTED = 100

# What an empty session offers to ask, and the tools that it takes.
EXAMPLES = (
    ("What is 15% of 1,280, and what time is it in Tokyo?", {"calculator", "current_time"}),
    ("What time is it in Berlin, London and New York?", {"current_time"}),
    ("The square root of 1,764, divided by 7", {"calculator"}),
    ("Read https://example.com and say what it is about", {"fetch_url"}),
    ("Search my earlier sessions for Tokyo", {"search_sessions"}),
)
EXAMPLES_SHOWN = 3


@require_safe
@login_required
@never_cache
def home(request: HttpRequest) -> HttpResponse:
    """The latest session in which something was said, or a new one."""
    latest = sessions_of(request.user).filter(head__gt=0).order_by("-updated_at", "-pk").first()
    return redirect("chat:session", latest.public_id if latest else new_public_id())


@require_safe
@login_required
@never_cache
def new(request: HttpRequest) -> HttpResponse:
    """A session under an id that nobody has used; it comes into being with its first connection."""
    return redirect("chat:session", new_public_id())


@require_safe
@login_required
@never_cache
def session(request: HttpRequest, session_id: str) -> HttpResponse:
    """The page of one session. Somebody else's is answered as one that does not exist."""
    try:
        found = get_session(request.user, session_id)
    except NotYours:
        raise Http404 from None
    skip = _number(request.GET.get("older"))
    listed = list(sessions_of(request.user).filter(head__gt=0).order_by("-updated_at", "-pk")[skip : skip + LISTED + 1])
    agent = found.agent if found else request.GET.get("agent_name", DEFAULT_AGENT)
    context = {
        "session_id": session_id,
        "session": found,
        "sessions": [_listed(item) for item in listed[:LISTED]],
        "older": skip + LISTED if len(listed) > LISTED else None,
        "newer": max(skip - LISTED, 0) if skip else None,
        "agents": AGENTS.values(),
        "agent": agent if agent in AGENTS else DEFAULT_AGENT,
        "model": "demo model" if settings.MODEL == DEMO else settings.MODEL,
        "examples": _examples(),
        "boot": _boot(request, session_id, found),
    }
    return render(request, "chat/session.html", context)


def _listed(item: ChatSession) -> dict[str, Any]:
    """A session as a line of the list."""
    title = AGENTS[item.agent].title if item.agent in AGENTS else item.agent
    return {"public_id": item.public_id, "title": str(item), "updated_at": item.updated_at, "agent_title": title}


def _examples() -> list[dict[str, Any]]:
    """The examples, each with the agents that are to offer it: those who have its tools, and not too many others."""
    offers = {
        name: [question for question, tools in EXAMPLES if tools <= set(spec.tools)][:EXAMPLES_SHOWN]
        for name, spec in AGENTS.items()
    }
    return [
        {"question": question, "agents": [name for name, questions in offers.items() if question in questions]}
        for question, _ in EXAMPLES
    ]


def _boot(request: HttpRequest, session_id: str, found: ChatSession | None) -> dict[str, Any]:
    """What the page's code must know before its socket speaks."""
    return {
        "protocol": protocol.for_page(),
        "session": session_id,
        "isNew": found is None or found.head == 0,
        "user": str(request.user.pk),
        "socket": f"/ws/chat/{session_id}",
        "heartbeatSeconds": settings.HEARTBEAT_SECONDS,
        "reconnectTries": settings.RECONNECT_TRIES,
        "signIn": f"{reverse(settings.LOGIN_URL)}?next={request.path}",
        "agents": {spec.name: spec.title for spec in AGENTS.values()},
        "siteNotices": site_notices.listed(),
    }


def _number(text: str | None) -> int:
    """How many of the latest sessions the list leaves out; anything but a plain number counts as none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 7 else 0
