"""Where the packages lie; all else is in setup.cfg, which can't say this."""

from setuptools import find_packages, setup

# <migrations>
# The migrations belong at the top of the project, and into the wheel. `alembic` has no __init__.py:
# at the top it would shadow the library.
# </migrations>
setup(
    packages=[
        *find_packages(include=["myapp", "myapp.*"]),
        # <migrations>
        "myapp.alembic",
        "myapp.alembic.versions",
        # </migrations>
    ],
    # <migrations>
    package_dir={"myapp.alembic": "alembic"},
    # </migrations>
)
