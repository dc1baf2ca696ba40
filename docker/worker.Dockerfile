# syntax=docker/dockerfile:1
# The worker that adapts and generates. Build from the repository's root:
#   docker build -f docker/worker.Dockerfile -t defectsynth-worker .
# The registry's default wheel of torch for x86-64 Linux carries CUDA with it and needs only the host's driver.
# It runs on a CPU too; the smaller CPU variant takes its wheel from the package index that the PyTorch project
# documents for that:
#   docker build -f docker/worker.Dockerfile --build-arg TORCH_INDEX_URL=<that index> -t defectsynth-worker:cpu .
FROM python:3.11-slim AS build
ARG TORCH_INDEX_URL=""
WORKDIR /src
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# Several GB: a layer of its own, which only another torch version makes anew.
COPY constraints.txt ./
RUN pip install -c constraints.txt ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} torch
COPY pyproject.toml LICENSE ./
RUN mkdir service worker models \
    && touch service/__init__.py worker/__init__.py models/__init__.py \
    && pip install -c constraints.txt '.[worker,s3,c2pa]'
COPY client client
COPY service service
COPY worker worker
COPY models models
RUN pip install --no-deps --force-reinstall ./client .

FROM python:3.11-slim
COPY --from=build /opt/venv /opt/venv
COPY docker/health.py /opt/health.py
RUN useradd --uid 10001 --create-home defectsynth \
    && install -d -o defectsynth -g defectsynth /data
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 \
    DEFECTSYNTH_DATA_DIR=/data HF_HOME=/data/huggingface
USER defectsynth
WORKDIR /home/defectsynth
VOLUME /data
HEALTHCHECK --interval=30s --timeout=15s --start-period=60s --retries=4 \
    CMD ["python", "/opt/health.py", "worker"]
CMD ["defectsynth", "worker"]
