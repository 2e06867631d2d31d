"""The page of a transcript: a session as its user saw it, and beside it what the user did not see."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from agents.registry import AGENTS
from chat import protocol, readings, review
from chat.admin_site import page
from chat.models import ChatSession, Reading, Run

READS = "chat.view_chatsession"
ADDRESS = "chat/chatsession/<int:pk>/transcript/"
FACTS = ("user", "agent", "model", "state", "tokens", "cost", "private", "feedback")
LARGEST = 2**63 - 1


@page(ADDRESS, name="chat_transcript", permission=READS)
@require_safe
def transcript(request: HttpRequest, pk: int) -> HttpResponse:
    """The page itself; opening somebody else's session is recorded. What happens in it comes over its socket."""
    session = readable(request, pk)
    readings.record(request.user, [session], Reading.How.READ)
    header = review.header(session)
    context = admin.site.each_context(request) | {
        "title": str(session),
        "session": session,
        "facts": [(name, header[name]) for name in FACTS],
        "boot": _boot(session),
    }
    return render(request, "admin/chat/transcript.html", context)


@page(ADDRESS + "facts/", name="chat_transcript_facts", permission=READS)
@require_safe
def facts(request: HttpRequest, pk: int) -> JsonResponse:
    """What each step took and what became of the runs, after `?after=`; and the header as it is now."""
    session = readable(request, pk)
    readings.record_once(request.user, session)
    told, runs = review.facts(session, _after(request))
    return JsonResponse(_shape(told) | {"runs": runs, "header": review.header(session)})


@page(ADDRESS + "frames/<uuid:run>/", name="chat_transcript_frames", permission=READS)
@require_safe
def frames(request: HttpRequest, pk: int, run: uuid.UUID) -> JsonResponse:
    """The frames of a run as they were sent, after `?after=`."""
    return JsonResponse(_shape(review.sent(_run(request, pk, run), _after(request))))


@page(ADDRESS + "steps/<uuid:run>/", name="chat_transcript_steps", permission=READS)
@require_safe
def steps(request: HttpRequest, pk: int, run: uuid.UUID) -> JsonResponse:
    """The steps of a run in full, those that its user did not see included, after `?after=`."""
    return JsonResponse(_shape(review.steps(_run(request, pk, run), _after(request))))


@page(ADDRESS + "messages/<uuid:run>/", name="chat_transcript_messages", permission=READS)
@require_safe
def messages(request: HttpRequest, pk: int, run: uuid.UUID) -> JsonResponse:
    """What the model of a run was given, from place `?after=` on."""
    return JsonResponse(_shape(review.given(_run(request, pk, run), _after(request))))


def readable(request: HttpRequest, pk: int) -> ChatSession:
    """The session, for somebody who may read it; for anybody else there is none."""
    session = readings.readable_by(request.user).select_related("owner").filter(pk=min(pk, LARGEST)).first()
    if session is None:
        raise Http404
    return session


def _run(request: HttpRequest, pk: int, run_id: uuid.UUID) -> Run:
    session = readable(request, pk)
    run = Run.objects.filter(session=session, pk=run_id).first()
    if run is None:
        raise Http404
    readings.record_once(request.user, session)
    run.session = session
    return run


def _after(request: HttpRequest) -> int:
    text = request.GET.get("after", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 17 else 0


def _shape(told: review.Page) -> dict[str, Any]:
    return {"items": told.items, "through": told.through, "more": told.more}


def _boot(session: ChatSession) -> dict[str, Any]:
    """What the page's code must know before its socket speaks."""
    address = reverse("admin:chat_transcript", args=[session.pk])
    return {
        "protocol": protocol.for_page(),
        "socket": f"/ws/admin/chat/{session.pk}",
        "address": address,
        "compare": reverse("admin:chat_compare"),
        "heartbeatSeconds": settings.HEARTBEAT_SECONDS,
        "reconnectTries": settings.RECONNECT_TRIES,
        "signIn": reverse("admin:login", query={"next": address}),
        "agents": {spec.name: spec.title for spec in AGENTS.values()},
    }
