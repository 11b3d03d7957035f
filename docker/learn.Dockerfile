# Everything but the robot's side: gate, recorder, policy, imagination, training. Build from the repository's root:
#   docker build -f docker/learn.Dockerfile -t world4rl-learn .
FROM ros:jazzy-ros-base-noble

ARG USER_UID=1001
ARG USER_GID=1001
# Where torch comes from, such as an index of CPU wheels; empty: PyPI's build with CUDA.
ARG TORCH_INDEX=""
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        make \
        python3-colcon-common-extensions \
        python3-venv \
        ros-jazzy-control-msgs \
        ros-jazzy-diagnostic-msgs \
        ros-jazzy-visualization-msgs \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /world4rl
COPY scripts/system_packages.sh scripts/
RUN scripts/system_packages.sh && apt-get clean && rm -rf /var/lib/apt/lists/*

RUN groupadd --gid "$USER_GID" world4rl \
    && useradd --uid "$USER_UID" --gid "$USER_GID" --create-home --groups dialout,plugdev,video world4rl \
    && install -d -o world4rl -g world4rl /world4rl /data
USER ${USER_UID}:${USER_GID}

# `make setup` does all the rest, as outside of a container; the versions are those of constraints.txt. `build` stays: what is
# installed are links into it.
COPY --chown=world4rl:world4rl . .
RUN source /opt/ros/jazzy/setup.bash && TORCH_INDEX="$TORCH_INDEX" make setup && rm -rf log ~/.cache/pip

COPY docker/entrypoint.sh /usr/local/bin/
ENV WORLD4RL_SETUP=/world4rl/scripts/env.sh
WORKDIR /data
ENTRYPOINT ["entrypoint.sh"]
CMD ["ros2", "launch", "world4rl_bringup", "real_arm.launch.py", "--show-args"]
