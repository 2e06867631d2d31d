"""Django's admin with a site of our own."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class GlassboxAdminConfig(AdminConfig):
    default_site = "chat.admin_site.GlassboxAdminSite"
