# Three images: `agent` carries the agent into containers that do not have it, `hub` is the hub, `shop` is the example
# program under the agent (`shop-plain`: without it).
#
#   docker build --target hub --tag perfagent-hub .
#
# Everything that is installed is pinned by hash in deploy/docker/*.txt; their *.in say how those are made.
ARG PYTHON=python:3.11.14-slim-bookworm
ARG BUSYBOX=busybox:1.37.0

FROM ${PYTHON} AS base
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

FROM base AS wheel
WORKDIR /src
COPY deploy/docker/build.txt ./
RUN python -m venv --without-pip /build \
    && pip --python /build/bin/python install --require-hashes --requirement build.txt
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip --python /build/bin/python wheel --no-build-isolation --no-deps --no-index --wheel-dir /dist .

# One folder serves both ways of injection. Ours puts perfagent/launch/bootstrap on PYTHONPATH; the OpenTelemetry
# operator puts opentelemetry/instrumentation/auto_instrumentation there, and looks for a sitecustomize in it. Neither
# `opentelemetry` folder has an __init__, so they shadow no package of the program.
# Bytecode is checked by no time stamp, for `cp -r` keeps none.
FROM wheel AS agent-files
RUN pip install --no-deps --no-index --no-compile --target /autoinstrumentation /dist/*.whl \
    && rm -rf /autoinstrumentation/bin \
    && mkdir -p /autoinstrumentation/opentelemetry/instrumentation/auto_instrumentation \
    && cp /autoinstrumentation/perfagent/launch/bootstrap/sitecustomize.py \
        /autoinstrumentation/opentelemetry/instrumentation/auto_instrumentation/ \
    && python -m compileall -q --invalidation-mode unchecked-hash /autoinstrumentation \
    && chmod -R a+rX /autoinstrumentation

FROM ${BUSYBOX} AS agent
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="perfagent agent" \
      org.opencontainers.image.description="The agent's files and wheel, to be copied into a container of a Python program" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=wheel /dist /dist
COPY --from=agent-files /autoinstrumentation /autoinstrumentation
# The operator takes these files where an image is built on musl; they are Python alone, so they are the same.
RUN ln -s autoinstrumentation /autoinstrumentation-musl
USER 10001:10001
CMD ["cp", "-r", "/autoinstrumentation/.", "/perfagent"]

FROM base AS hub-files
COPY deploy/docker/hub.txt ./
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --require-hashes --requirement hub.txt
COPY --from=wheel /dist /dist
RUN pip --python /opt/venv/bin/python install --no-deps --no-index /dist/*.whl \
    && pip --python /opt/venv/bin/python check

FROM base AS hub
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="perfagent hub" \
      org.opencontainers.image.description="Receives OTLP, keeps it, finds what is slow and why, and shows it in a page" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=hub-files /opt/venv /opt/venv
# The hub makes its own folder in here: it takes none that another user made, as a volume of Kubernetes is.
RUN install -d -o 10001 -g 10001 -m 0750 /var/lib/perfagent
ENV PATH=/opt/venv/bin:${PATH} \
    HOME=/tmp \
    PERFAGENT_HUB_DIR=/var/lib/perfagent/hub \
    PERFAGENT_HUB_HOST=0.0.0.0 \
    PERFAGENT_HUB_PORT=4318 \
    PERFAGENT_HUB_GRPC_PORT=4317
USER 10001:10001
EXPOSE 4317 4318
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --start-interval=1s --retries=3 \
    CMD ["python", "-ISc", "import urllib.request as web; web.urlopen('http://127.0.0.1:4318/health/ready', timeout=4)"]
CMD ["perfagent", "hub"]

FROM base AS shop-files
COPY deploy/docker/shop.txt ./
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --require-hashes --requirement shop.txt \
    && pip --python /opt/venv/bin/python check

FROM base AS shop-plain
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="shop" \
      org.opencontainers.image.description="perfagent's example program: a shop and its payment service" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=shop-files /opt/venv /opt/venv
RUN install -d -o 10001 -g 10001 -m 0750 /var/lib/shop
WORKDIR /app
COPY examples/shop ./shop
ENV PATH=/opt/venv/bin:${PATH} \
    HOME=/tmp \
    SHOP_DATABASE=/var/lib/shop/shop.db
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --start-interval=1s --retries=3 \
    CMD ["python", "-ISc", "import urllib.request as web; web.urlopen('http://127.0.0.1:8000/health/ready', timeout=4)"]
CMD ["uvicorn", "shop.app:app", "--host", "0.0.0.0", "--port", "8000"]

FROM base AS shop-measured-files
COPY --from=shop-files /opt/venv /opt/venv
COPY --from=wheel /dist /dist
RUN pip --python /opt/venv/bin/python install --no-deps --no-index /dist/*.whl \
    && pip --python /opt/venv/bin/python check

FROM shop-plain AS shop
COPY --from=shop-measured-files /opt/venv /opt/venv
CMD ["perfagent", "run", "uvicorn", "shop.app:app", "--host", "0.0.0.0", "--port", "8000"]
