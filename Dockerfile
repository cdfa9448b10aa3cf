# docker build -t prunelab .
# docker run --rm -v "$PWD/outputs:/results/outputs" -v prunelab-store:/store prunelab experiment=demo
#
# The index chooses torch's build (see the Makefile): --build-arg PIP_EXTRA_INDEX_URL=URL for the small CPU one. With the
# CUDA build, add --gpus all to docker run, and trainer=gpu to the command.
FROM python:3.11-slim

ARG PIP_EXTRA_INDEX_URL=
ENV PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PRUNELAB_STORE=/store

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
COPY conf ./conf
COPY sweeps ./sweeps
COPY slurm ./slurm
RUN pip install -c constraints.txt . && mkdir /store

WORKDIR /results
VOLUME /store
ENTRYPOINT ["prunelab"]
