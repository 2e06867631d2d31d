# Glassbox: one image for the web servers (as it starts by itself), the workers and the migrations. `docker-compose.yml` runs them.

FROM python:3.13-slim AS build
WORKDIR /app
COPY requirements.txt .
# Without pip in it, as what runs installs nothing, and without the packages' own tests and sources of translations. Some packages bring files for other Pythons, which do not compile.
RUN python -m venv --without-pip /venv \
    && python -m pip --python /venv/bin/python --disable-pip-version-check install \
        --quiet --no-cache-dir --no-compile --require-hashes -r requirements.txt \
    && find /venv/lib -type d \( -name tests -o -path '*/twisted/*' -name test \) -prune -exec rm -r {} + \
    && find /venv/lib -name '*.po' -delete \
    && (python -m compileall -qq -j 0 --invalidation-mode unchecked-hash /venv/lib || true)
COPY . .
# Static files are collected here, so that a start finds them. The key is needed by every command and used by none of this.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash . \
    && SECRET_KEY=only-while-the-image-is-built DATA_DIR=/app/var DJANGO_SETTINGS_MODULE=reasoning_site.settings /venv/bin/python -c "\
import django; django.setup(); \
from reasoning_site.installation import collect_static_files; collect_static_files(print)"

FROM python:3.13-slim
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp glassbox
COPY --from=build /venv /venv
COPY --from=build --chown=glassbox:glassbox /app /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH DATA_DIR=/app/var HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-m", "reasoning_site.probe", "8000"]
CMD ["python", "manage.py", "serve", "--host", "0.0.0.0", "--port", "8000"]
