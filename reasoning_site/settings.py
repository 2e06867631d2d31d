"""Django's settings, and the only reader of the environment. Every variable stands in `.env.example` and the README."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from csp.constants import NONE, SELF

from agents.model_choice import default_spec
from reasoning_site import environment as env
from reasoning_site.databases import database
from reasoning_site.origins import full_origins
from reasoning_site.redis_hosts import redis_hosts
from reasoning_site.secret_key import kept_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent

# --- the environment --------------------------------------------------------------------------------------------------

DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / "var"))).resolve()
DEBUG = env.flag("DEBUG")
HTTPS = env.flag("HTTPS")
PORT = int(env.number("PORT", 8000))
ALLOWED_HOSTS = env.items("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")
# The site's own origin is always allowed; these are others that may open sockets to it and send forms.
ALLOWED_ORIGINS = full_origins("ALLOWED_ORIGINS", env.items("ALLOWED_ORIGINS"))
# Behind HTTPS there is at least the proxy that ends it.
TRUSTED_PROXIES = max(int(env.number("TRUSTED_PROXIES", 0)), int(HTTPS))
SIGN_UP = env.flag("SIGN_UP")
SIGN_IN_TRIES = int(env.number("SIGN_IN_TRIES", 10))
SIGN_IN_SECONDS = env.number("SIGN_IN_SECONDS", 300)
DATABASE_URL = env.text("DATABASE_URL")
DATABASE_SECONDS = env.number("DATABASE_SECONDS", 5)
DATABASE_CONNECTIONS = int(env.number("DATABASE_CONNECTIONS", 12))
REDIS_URL = env.text("REDIS_URL")
# Where several processes can share a database, workers drive the runs.
HAS_WORKERS = bool(DATABASE_URL)

MODEL = env.text("MODEL") or default_spec(os.environ)
MODEL_PRICES = env.prices("MODEL_PRICES")
OPENAI_BASE_URL = env.text("OPENAI_BASE_URL")
AGENT_MODULES = env.items("AGENT_MODULES")
DEMO_TOKEN_SECONDS = env.number("DEMO_TOKEN_SECONDS", 0.02)
MAX_ITERATIONS = int(env.number("MAX_ITERATIONS", 20))
RUN_SECONDS = env.number("RUN_SECONDS", 900)
HISTORY_RUNS = int(env.number("HISTORY_RUNS", 30))

LEASE_SECONDS = env.number("LEASE_SECONDS", 5)
SWEEP_SECONDS = env.number("SWEEP_SECONDS", 0.5)
ATTEMPTS = int(env.number("ATTEMPTS", 3))
AGENT_CONCURRENCY = int(env.number("AGENT_CONCURRENCY", 200))
PICKUP_SECONDS = env.number("PICKUP_SECONDS", 0.5)
DRAIN_SECONDS = env.number("DRAIN_SECONDS", 5)
GRACE_SECONDS = env.number("GRACE_SECONDS", 30)
PULSE_FILE = env.text("PULSE_FILE")
WATCH_SECONDS = env.number("WATCH_SECONDS", 0.5)
DELTA_SECONDS = env.number("DELTA_SECONDS", 0.04)
LAYER_SECONDS = env.number("LAYER_SECONDS", 2)
READY_SECONDS = env.number("READY_SECONDS", 2)
HEARTBEAT_SECONDS = env.number("HEARTBEAT_SECONDS", 30)
RECONNECT_TRIES = int(env.number("RECONNECT_TRIES", 0))

RETENTION_SECONDS = env.number("RETENTION_SECONDS", 86400)

NOTICE_SECONDS = env.number("NOTICE_SECONDS", 3)
PROCESS_SECONDS = env.number("PROCESS_SECONDS", 2)
SOCKETS_PER_USER = int(env.number("SOCKETS_PER_USER", 100))
ACTIVE_RUNS_PER_USER = int(env.number("ACTIVE_RUNS_PER_USER", 20))
MESSAGES_PER_MINUTE = int(env.number("MESSAGES_PER_MINUTE", 60))
TOKENS_PER_DAY = int(env.number("TOKENS_PER_DAY", 0))
QUEUE_LIMIT = int(env.number("QUEUE_LIMIT", 20))
FRAMES_PER_SECOND = env.number("FRAMES_PER_SECOND", 10)
FRAMES_AT_ONCE = int(env.number("FRAMES_AT_ONCE", 50))
UNACKNOWLEDGED_BYTES = int(env.number("UNACKNOWLEDGED_BYTES", 1024 * 1024))
SLOW_SECONDS = env.number("SLOW_SECONDS", 10)
PING_SECONDS = env.number("PING_SECONDS", 20)
PING_TIMEOUT_SECONDS = env.number("PING_TIMEOUT_SECONDS", 30)

LOG_FORMAT = env.choice("LOG_FORMAT", "text", among=("text", "json"))
# OpenTelemetry reads this and all its other variables itself.
TRACES: bool = bool(env.text("OTEL_EXPORTER_OTLP_ENDPOINT"))
METRICS_TOKEN = env.text("METRICS_TOKEN")
METRICS_HOST = env.text("METRICS_HOST", "127.0.0.1")

EMAIL_HOST = env.text("EMAIL_HOST")
EMAIL_PORT = int(env.number("EMAIL_PORT", 587))
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", default=True)
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "glassbox@localhost")

# --- the server -------------------------------------------------------------------------------------------------------

# A frame over 64 KiB is refused with a sentence; past this the server closes the socket without reading on.
DAPHNE_WEBSOCKET_MAX_MESSAGE_SIZE = DAPHNE_WEBSOCKET_MAX_FRAME_SIZE = 128 * 1024
HTTP_SECONDS = 120
START_SECONDS = 30
STOP_SECONDS = 5
FIRST_ADMIN_SECONDS = 24 * 60 * 60

# --- security ---------------------------------------------------------------------------------------------------------

SECRET_KEY = env.text("SECRET_KEY") or kept_secret_key(DATA_DIR / "secret_key")
CSRF_TRUSTED_ORIGINS = ALLOWED_ORIGINS
SECURE_SSL_REDIRECT = HTTPS
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
# Not `no-referrer`: with that, browsers send `Origin: null` with our own forms, and the CSRF check refuses them.
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
PERMISSIONS_POLICY = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

# --- Django -----------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    # Ahead of Daphne, whose `runserver` it wraps: WhiteNoise serves the static files there as well.
    "whitenoise.runserver_nostatic",
    "daphne",
    "reasoning_site.admin_config.GlassboxAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "csp",
    "axes",
    "chat",
    "reasoning_site",
]
if HAS_WORKERS:
    # Its migrations are PostgreSQL's.
    INSTALLED_APPS.append("procrastinate.contrib.django")
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "reasoning_site.middleware.StaticFilesMiddleware",
    "reasoning_site.middleware.PermissionsPolicyMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "reasoning_site.urls"
ASGI_APPLICATION = "reasoning_site.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": database(
        DATABASE_URL,
        sqlite=DATA_DIR / "glassbox.sqlite3",
        seconds=DATABASE_SECONDS,
        connections=DATABASE_CONNECTIONS,
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "reasoning_site.channel_layer.ChannelLayer",
        "CONFIG": {"hosts": redis_hosts(REDIS_URL, seconds=LAYER_SECONDS), "prefix": "glassbox"},
    }
    if REDIS_URL
    else {"BACKEND": "reasoning_site.memory_layer.MemoryLayer", "CONFIG": {"capacity": 10_000}}
}
SIGN_IN_BACKEND = "django.contrib.auth.backends.ModelBackend"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", SIGN_IN_BACKEND]
AXES_ENABLED = SIGN_IN_TRIES > 0
AXES_FAILURE_LIMIT = SIGN_IN_TRIES
AXES_COOLOFF_TIME = timedelta(seconds=SIGN_IN_SECONDS)
# Both: whoever guesses locks himself out, and not the one whose name he uses.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "reasoning_site.client_address.client_address"
AXES_LOCKOUT_CALLABLE = "reasoning_site.accounts.locked_out"
# Who signed in when, and from where, is nobody's business.
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False
AXES_ENABLE_ADMIN = False
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"
EMAIL_TIMEOUT = 10
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "chat:home"
LOGOUT_REDIRECT_URL = "login"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "reasoning_site.static_storage.HashedStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"format": "{asctime} {levelname} {name}: {message}{about}", "style": "{"},
        "json": {"()": "reasoning_site.log_lines.JsonLines"},
    },
    "filters": {"about": {"()": "reasoning_site.log_lines.About"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["about"]}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        # Django gives its logger handlers of its own; without them, everything takes the one way.
        "django": {"handlers": [], "level": "WARNING"},
        # Nobody's fault here, and as many as strangers like: pages that do not exist, forms without a token.
        "django.request": {"level": "ERROR"},
        # A traceback for each request by another name. Whoever sends one by mistake is told on the page.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        # What `runserver` says about each request.
        "django.channels.server": {"level": "INFO"},
        "agents": {"level": "INFO"},
        "chat": {"level": "INFO"},
        "reasoning_site": {"level": "INFO"},
    },
}
