from pathlib import Path

from setuptools import find_packages, setup

package_name = "world4rl_wm"

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
        "accelerate",
        "diffusers",
        "gymnasium",
        "numpy",
        "opencv-python-headless",
        "pillow",
        "PyYAML",
        "safetensors",
        "scipy",
        "tensorboard",
        "torch",
        "torchmetrics",
        "tqdm",
    ],
    # LPIPS and FID; their weights are files of their own (docs/measures.md).
    extras_require={"measures": ["torch-fidelity", "torchvision"], "rssm": ["torchrl"]},
    python_requires=">=3.10",
    zip_safe=False,
    author="World4RL maintainers",
    maintainer="World4RL maintainers",
    maintainer_email="maintainers@world4rl.example.org",
    description="The diffusion world model of World4RL, its reward model, imagination and their node.",
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
            "imagination = world4rl_wm.imagination_node:main",
        ],
    },
)
