"""A real cluster inside your test: `with Cluster(servers=3) as cluster: ...` (see `yurt.server.testing`)."""

from yurt.server.testing import *  # noqa: F403
from yurt.server.testing import __all__ as __all__
