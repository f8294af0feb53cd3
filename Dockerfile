# syntax=docker/dockerfile:1
# The one image of web and workers. Built in two stages so that no compiler or cache is shipped.

FROM python:3.13.11-slim-trixie AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /app
COPY requirements.txt pyproject.toml README.md ./
# The pins act as constraints: what only tests and linters need stays out. The folder itself goes on the path, so the
# code copied below is found and this layer is rebuilt only when a dependency changes.
RUN pip install "$(grep '^setuptools==' requirements.txt)" \
    && pip install --no-build-isolation --config-settings editable_mode=compat -c requirements.txt -e .

FROM python:3.13.11-slim-trixie
RUN groupadd --gid 10001 plumbline \
    && useradd --uid 10001 --gid plumbline --no-create-home --home-dir /data --shell /usr/sbin/nologin plumbline \
    && install -d -o plumbline -g plumbline -m 0700 /data
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HOME=/data/hub \
    PLUMBLINE_DATA=/data \
    PLUMBLINE_HOST=0.0.0.0
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY . .
RUN python -m compileall -q alignment backend workers frontend plumbline migrations
USER plumbline
VOLUME /data
EXPOSE 7860
ENTRYPOINT ["plumbline"]
CMD ["web"]
