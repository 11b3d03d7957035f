from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

package_name = "world4rl_bringup"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(include=[package_name, f"{package_name}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
        # `launch` is a relative link to the repository's launch/ folder, where a user looks for these files.
        (f"share/{package_name}/launch", sorted(glob("launch/*.launch.py"))),
        (f"share/{package_name}/params", sorted(glob("params/*.yaml"))),
        (f"share/{package_name}/config", sorted(glob("config/*.*"))),
        (f"share/{package_name}/rviz", sorted(glob("rviz/*.rviz"))),
        (f"share/{package_name}/foxglove", sorted(glob("foxglove/*.json"))),
        (f"share/{package_name}/sros2", sorted(glob("sros2/*.xml"))),
    ],
    install_requires=[
        "numpy",
        "PyYAML",
        "world4rl_data",
        "world4rl_sim",
    ],
    python_requires=">=3.10",
    zip_safe=False,
    author="World4RL maintainers",
    maintainer="World4RL maintainers",
    maintainer_email="maintainers@world4rl.example.org",
    description="The World4RL graph as data, launch and parameter files, and a runner without launch.",
    license="Apache-2.0",
    long_description=(Path(__file__).resolve().parent / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    keywords=["robotics", "ROS 2", "world model", "reinforcement learning"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    entry_points={
        "console_scripts": [
            "healthcheck = world4rl_bringup.health_node:main",
        ],
    },
)
