# The robot's side: franka_ros2, crisp_controllers, RealSense cameras, on ROS 2 Jazzy. Build from the repository's root:
#   docker build -f docker/driver.Dockerfile -t world4rl-driver .
# The host needs a real-time kernel; compose.yaml has the rights that real time needs.
FROM ros:jazzy-ros-base-noble

ARG USER_UID=1001
ARG USER_GID=1001
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        git \
        python3-colcon-common-extensions \
        python3-numpy \
        python3-vcstool \
        python3-yaml \
        ros-jazzy-joint-trajectory-controller \
        ros-jazzy-realsense2-camera \
        sudo \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/*

# The FCI runs at 1 kHz in a thread of its own, with the limits that libfranka asks for.
COPY docker/realtime.conf /etc/security/limits.d/99-realtime.conf
RUN groupadd --system realtime \
    && groupadd --gid "$USER_GID" world4rl \
    && useradd --uid "$USER_UID" --gid "$USER_GID" --create-home --groups dialout,plugdev,realtime,video world4rl \
    && install -d -o world4rl -g world4rl /workspace

# The same script as `make driver`. Its packages are installed as root, its files belong to the user.
COPY scripts/install_driver.sh /world4rl/scripts/
COPY src/ /world4rl/src/
COPY launch/ /world4rl/launch/
RUN apt-get update \
    && source /opt/ros/jazzy/setup.bash \
    && /world4rl/scripts/install_driver.sh /workspace \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /root/.ros /workspace/build /workspace/log \
    && chown -R world4rl:world4rl /workspace

COPY docker/entrypoint.sh /usr/local/bin/
ENV WORLD4RL_SETUP=/workspace/install/setup.bash
USER ${USER_UID}:${USER_GID}
WORKDIR /home/world4rl
ENTRYPOINT ["entrypoint.sh"]
CMD ["ros2", "launch", "world4rl_bringup", "driver.launch.py", "--show-args"]
