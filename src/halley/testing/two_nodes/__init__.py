"""The contract of several processes on one store: workers, API servers and maintainers, simulated in a test.

`nodes` has the processes, `cluster` puts them on a store and moves their clock, the suites have the rules.
"""

from halley.testing.two_nodes.attendance import SharedAttendanceContract
from halley.testing.two_nodes.cluster import Cluster, ClusterSuite
from halley.testing.two_nodes.maintainers import MaintainersContract
from halley.testing.two_nodes.work import SharedWorkContract


class TwoNodesContract(SharedWorkContract, MaintainersContract, SharedAttendanceContract):
    """The contract if two processes of each role share a store, and every hint between them is lost."""


__all__ = ["Cluster", "ClusterSuite", "TwoNodesContract"]
