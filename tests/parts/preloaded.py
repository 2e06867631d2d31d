"""The libraries that a process of the site takes seconds to import. See `tests.parts.forked`, whose processes begin with them.

None of the site's own modules, and nothing that reads Django's settings, opens a file or starts a thread or an event loop: what
is imported here, all these processes share.
"""

import gc
import importlib
import sys
import threading

LIBRARIES = (
    "autobahn.websocket.protocol",
    "channels_redis.core",
    "cryptography.hazmat.primitives.asymmetric.rsa",
    "csp.constants",
    "dj_database_url",
    "django.core.management.commands.runserver",
    "django.db.backends.postgresql.psycopg_any",
    "django.db.backends.sqlite3.base",
    "django.forms",
    "django.template.backends.django",
    "django.test",
    "langchain.agents",
    "langchain.chat_models",
    "langchain_core.language_models",
    "langgraph.graph",
    "procrastinate",
    "prometheus_client",
    "psutil",
    "psycopg_pool",
    "redis.asyncio",
    "sqlparse",
    "tests.parts.forked",
    "twisted.internet.asyncioreactor",
    "twisted.internet.endpoints",
    "twisted.internet.ssl",
    "twisted.web.http",
    "whitenoise.middleware",
)
# Set up when they are imported.
NOT_SHARED = ("twisted.internet.reactor", "reasoning_site", "chat", "agents")

gc.disable()
for name in LIBRARIES:
    importlib.import_module(name)
assert threading.active_count() == 1
assert not sys.modules.keys() & set(NOT_SHARED)
# Else the first collection of each process would copy all of it.
gc.freeze()
gc.enable()
