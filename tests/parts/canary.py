"""A user of whom something stands in every place where something of a user can stand: every model, text and relation, found by
looking at the models. Called inside an installation's own process (`manage.py shell`); what it prints is for the test.
"""

from __future__ import annotations

import json
import secrets
import sys
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.apps import apps
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.utils import timezone

from chat.models import Export, LegalHold, Run, SavedFilter, SiteNotice
from tests.parts.planting import Planting, plain, relations

# What says nothing of any user, and why.
SILENT = {
    "auth.Permission": "the site's own",
    "auth.Group": "the site's own",
    "auth.Group_permissions": "the site's own",
    "contenttypes.ContentType": "the site's own",
    "chat.Chore": "what the site does by itself",
    "chat.Process": "machines",
    "chat.RetentionRule": "agents",
    "procrastinate.ProcrastinateWorker": "machines",
    "procrastinate.ProcrastinatePeriodicDefer": "the site's own; there are none",
}
# Rows that stay without the name, and whose text is the site's: what somebody has announced, why somebody else was held.
OF_THE_SITE = {(SiteNotice, "created_by"), (LegalHold, "placed_by"), (LegalHold, "lifted_by")}
TRIED = (AccessAttempt, AccessFailureLog, AccessLog)


class Plant(Planting):
    """What is planted of one user. Each text has a mark of its own, all of which begin with that of the user."""

    def __init__(self, mark: str, bystander: User) -> None:
        super().__init__()
        self.mark = mark
        self.marks: dict[str, str] = {}
        self.bystander = bystander
        self.user = User(email=f"{mark}@example.com")
        for name in ("username", "first_name", "last_name"):
            setattr(self.user, name, self.text(User._meta.get_field(name)))
        self.user.set_password("a pass phrase")
        self.user.save()
        self.rows[User] = self.user
        self.models.add("auth.User")

    def text(self, field: Any) -> str:
        mark = f"{self.mark}{len(self.marks):03d}"
        self.marks[f"{field.model._meta.label}.{field.name}.{len(self.marks)}"] = mark
        assert field.max_length is None or field.max_length >= len(mark), field
        return mark

    def everything(self) -> None:
        for model in apps.get_models(include_auto_created=True):
            label = model._meta.label
            if label in SILENT or model is User or not model._meta.managed:
                continue
            if model is Session:
                self.login()
            elif model in TRIED:
                self.row(model, username=self.user.username)
            else:
                for way in relations(model, SILENT):
                    self.row(model, **{way: self.one(model._meta.get_field(way).related_model)}, **self.but(model, way))
        self.quoted_by_others()
        if apps.is_installed("procrastinate.contrib.django"):
            self.job()

    def but(self, model: type[Model], way: str) -> dict[str, Any]:
        """What a row of this model must be like besides."""
        more: dict[str, Any] = {}
        if model is LegalHold:
            more["lifted_at"] = timezone.now()
            if (model, way) in OF_THE_SITE:
                more["user"] = self.bystander
        if (model, way) in OF_THE_SITE:
            more |= {"text" if model is SiteNotice else "reason": "of the site"}
        return more

    def one(self, model: Any) -> Model:
        """The user's row of the model, or for one that says nothing of users, any."""
        if model not in self.rows and model._meta.label in SILENT:
            return self.neutral(model)
        return super().one(model)

    def neutral(self, model: type[Model]) -> Model:
        found = model._default_manager.first()
        if found is not None:
            return found
        values = {
            field.name: plain(field) or secrets.token_hex(8)
            for field in model._meta.concrete_fields
            if not field.has_default() and not field.auto_created
        }
        return model._default_manager.create(**values)

    def login(self) -> None:
        client = Client()
        client.force_login(self.user)
        session = client.session
        session["words"] = f"{self.mark}-login"
        session.save()
        self.models.add(Session._meta.label)

    def quoted_by_others(self) -> None:
        """What somebody else has: an entry of the admin's log, an export, a saved filter."""
        kind = ContentType.objects.get_for_model(User)
        entry = {"user": self.bystander, "content_type": kind, "object_id": str(self.user.pk), "action_flag": 2}
        LogEntry.objects.create(
            object_repr=self.text(LogEntry._meta.get_field("object_repr")), change_message="", **entry
        )
        run = self.rows[Run]
        about = {"owner": self.bystander, "format": "csv", "last_event": 1}
        Export.objects.create(runs=[run.pk.hex], described=f"{self.mark}-by-run", **about)
        Export.objects.create(runs=[], described=f"All 0 runs with q=x, owner={self.user.username}: 0 runs", **about)
        SavedFilter.objects.create(
            owner=self.bystander, model="run", name=secrets.token_hex(4), query=f"owner={self.user.username}&x=1"
        )

    def job(self) -> None:
        run = self.rows[Run]
        field = apps.get_model("procrastinate.ProcrastinateJob")._meta.get_field("args")
        args = json.dumps({"run_id": str(run.pk), "words": self.text(field)})
        columns = "queue_name, task_name, status, args, queueing_lock"
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO procrastinate_jobs ({columns}) VALUES ('q', 't', 'todo', %s, %s)", [args, str(run.pk)]
            )
        self.models |= {"procrastinate.ProcrastinateJob", "procrastinate.ProcrastinateEvent"}


def plant() -> None:
    """Plant two users, and print what was planted."""
    bystander = User.objects.create_superuser("bystander")
    planted: dict[str, Any] = {}
    for name in ("erased", "kept"):
        one = Plant(f"zq{secrets.token_hex(4)}", bystander)
        one.everything()
        planted[name] = {
            "mark": one.mark,
            "pk": one.user.pk,
            "username": one.user.username,
            "marks": one.marks,
            "models": sorted(one.models),
        }
    known = {model._meta.label for model in apps.get_models(include_auto_created=True)}
    planted["forgotten"] = sorted(known - set(planted["erased"]["models"]) - SILENT.keys())
    sys.stdout.write(json.dumps(planted) + "\n")


def look() -> None:
    """Print all that the database has: the rows of every table as texts, what logins hold, and who is named by whom."""
    tables: dict[str, list[str]] = {}
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (name,) in cursor.fetchall():
                cursor.execute(f'SELECT * FROM "{name}"')
                tables[name] = [repr(row) for row in cursor.fetchall()]
        else:
            cursor.execute(
                "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            )
            for schema, name in cursor.fetchall():
                cursor.execute(f'SELECT row::text FROM "{schema}"."{name}" row')
                tables[name] = [text for (text,) in cursor.fetchall()]
    logins = [json.dumps(login.get_decoded()) for login in Session.objects.all()]
    names: dict[str, list[Any]] = {}
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.concrete_fields:
            if field.related_model is User:
                found = model._base_manager.exclude(**{field.name: None}).values_list(field.attname, flat=True)
                names[f"{model._meta.label}.{field.name}"] = list(found)
    everything = {"tables": tables, "logins": logins, "names": names, "data_dir": str(settings.DATA_DIR)}
    sys.stdout.write(json.dumps(everything) + "\n")
