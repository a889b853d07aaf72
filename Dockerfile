# The image of `muster serve` and of every other command; see manifests/deployment.yaml.
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /venv
COPY requirements.lock .
RUN /venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock
# The build backend comes from the lock of the development tools, by hash as well.
COPY requirements-dev.lock .
RUN python -m venv /build \
 && /build/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements-dev.lock
COPY pyproject.toml README.md LICENSE muster.py ./
COPY topology topology
COPY scheduler scheduler
COPY extender extender
COPY simulations simulations
COPY manifests manifests
RUN /build/bin/python -m hatchling build --target wheel --directory /wheels \
 && /venv/bin/pip install --no-cache-dir --no-deps /wheels/*.whl \
 && rm -r /venv/bin/pip* \
 && cd / && /venv/bin/python -c "\
from importlib.metadata import packages_distributions as owners; \
found = owners(); \
assert all(set(found[name]) == {'muster'} for name in ('topology', 'scheduler', 'extender', 'simulations'))" \
 && /venv/bin/muster --version

FROM python:3.11-slim
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /tmp
EXPOSE 9443 9444
ENTRYPOINT ["muster"]
CMD ["serve"]
