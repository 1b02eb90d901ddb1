"""Where the packages lie; all else is in setup.cfg, which can't say this."""

from setuptools import find_packages, setup

# The migrations belong at the top of the project, and into the wheel. `alembic` has no __init__.py:
# at the top it would shadow the library.
setup(
    packages=[
        *find_packages(include=["myapp", "myapp.*"]),
        "myapp.alembic",
        "myapp.alembic.versions",
    ],
    package_dir={"myapp.alembic": "alembic"},
)
