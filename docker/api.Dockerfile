# syntax=docker/dockerfile:1
# The HTTP API and the maintenance worker: no torch. Build from the repository's root:
#   docker build -f docker/api.Dockerfile -t defectsynth-api .
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The dependencies are a layer of their own, so that a change of code does not fetch them again.
COPY pyproject.toml constraints.txt LICENSE ./
RUN mkdir service worker models \
    && touch service/__init__.py worker/__init__.py models/__init__.py \
    && pip install -c constraints.txt '.[api,s3]'
COPY client client
COPY service service
COPY worker worker
COPY models models
RUN pip install --no-deps --force-reinstall ./client . \
    && ! python -c 'import torch' 2>/dev/null

FROM python:3.11-slim
COPY --from=build /opt/venv /opt/venv
COPY docker/health.py /opt/health.py
RUN useradd --uid 10001 --create-home defectsynth \
    && install -d -o defectsynth -g defectsynth /data
# DEFECTSYNTH_HOST is not set here: an address that others reach needs DEFECTSYNTH_ADMIN_KEY, so the two come together
# (docker-compose.yml, or docker run --env ...), and the maintenance worker listens nowhere.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 \
    DEFECTSYNTH_PORT=8000 DEFECTSYNTH_DATA_DIR=/data
USER defectsynth
WORKDIR /home/defectsynth
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=6 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['DEFECTSYNTH_PORT'] + '/health/live', timeout=4)"]
CMD ["defectsynth", "api"]
