"""The groups of those who answer for the site, and what each may do. `manage.py makegroups` makes them."""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission
from django.db import transaction

# Whoever reads. What their users marked private is left out. Filters that one saves, and exports that one asks for, are one's own.
VIEWER = (
    "chat.view_chatsession",
    "chat.view_run",
    "chat.view_event",
    "chat.view_feedback",
)
GROUPS: dict[str, tuple[str, ...]] = {
    "viewer": VIEWER,
    # Whoever holds and takes out erases nothing: a hold of an auditor's stands against an erasure of an operator's.
    "auditor": (
        *VIEWER,
        "chat.read_private",
        "chat.export_transcripts",
        "chat.view_reading",
        "chat.view_legalhold",
        "chat.add_legalhold",
        "chat.change_legalhold",
        "chat.view_retentionrule",
        "chat.view_sitenotice",
        "chat.view_dailyusage",
        "chat.view_chore",
        "auth.view_user",
    ),
    "operator": (
        *VIEWER,
        "chat.operate_run",
        "chat.erase_user",
        "chat.view_legalhold",
        "chat.view_retentionrule",
        "chat.add_retentionrule",
        "chat.change_retentionrule",
        "chat.delete_retentionrule",
        "chat.view_sitenotice",
        "chat.add_sitenotice",
        "chat.change_sitenotice",
        "chat.delete_sitenotice",
        "chat.view_process",
        "chat.view_opensocket",
        "chat.view_dailyusage",
        "chat.view_chore",
        "auth.view_user",
    ),
}


@transaction.atomic
def make_groups() -> list[str]:
    """Make the groups and give them what they lack; what somebody gave them beside stays. One line for each thing done.

    Raises `LookupError` for a permission that there is not.
    """
    done = []
    for name, wanted in GROUPS.items():
        group, is_new = Group.objects.get_or_create(name=name)
        if is_new:
            done.append(f"Made the group {name}.")
        has = {f"{app}.{code}" for app, code in group.permissions.values_list("content_type__app_label", "codename")}
        lacking = [_permission(label) for label in wanted if label not in has]
        group.permissions.add(*lacking)
        done += [f"{name}: {permission.name}." for permission in lacking]
    return done


def _permission(label: str) -> Permission:
    app, code = label.split(".")
    found = Permission.objects.filter(content_type__app_label=app, codename=code).first()
    if found is None:
        raise LookupError(f"There is no permission {label}; run migrate first.")
    return found
