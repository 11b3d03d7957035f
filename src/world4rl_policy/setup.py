from pathlib import Path

from setuptools import find_packages, setup

package_name = "world4rl_policy"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(include=[package_name, f"{package_name}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
    ],
    install_requires=[
        "world4rl_data",
        "world4rl_wm",
        "numpy",
        "scipy",
        "torch",
        "tqdm",
    ],
    extras_require={"offline-rl": ["torchrl"]},  # IQL and TD3+BC of benchmarks/offline_rl.py
    python_requires=">=3.10",
    zip_safe=False,
    author="World4RL maintainers",
    maintainer="World4RL maintainers",
    maintainer_email="maintainers@world4rl.example.org",
    description="Actor-critic, behaviour cloning, PPO refinement in imagination and the policy node of World4RL.",
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
            "policy = world4rl_policy.policy_node:main",
        ],
        "world4rl.policies": [
            "gaussian = world4rl_policy.deploy:load_policy",
        ],
    },
)
