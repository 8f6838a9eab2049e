# syntax=docker/dockerfile:1
# One image for the server, the command line, and the scheduler and workers of a Dask cluster.

FROM python:3.13-slim AS build
WORKDIR /build
COPY pyproject.toml constraints.txt README.md ./
COPY models models
COPY optimizer optimizer
COPY api api
COPY benchmarks benchmarks
RUN python -m venv /app \
    && /app/bin/python -m pip install --no-cache-dir -c constraints.txt '.[cluster,tracing]'

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home oscp
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OSCP_HOST=0.0.0.0 \
    OSCP_DATABASE_URL=sqlite:////data/capacity-optimizer.db \
    OSCP_JSON_LOGS=1
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["oscp-serve"]
