"""What several processes on one store promise together: workers, API servers and maintainers, as processes of a test.

`nodes` has the processes, `cluster` puts them on a store and moves their clock, the suites say what must hold.
"""

from halley.testing.two_nodes.attendance import SharedAttendanceContract
from halley.testing.two_nodes.cluster import Cluster, ClusterSuite
from halley.testing.two_nodes.maintainers import MaintainersContract
from halley.testing.two_nodes.work import SharedWorkContract


class TwoNodesContract(SharedWorkContract, MaintainersContract, SharedAttendanceContract):
    """Everything that holds where two processes of each role share a store, and every hint between them is lost."""


__all__ = ["Cluster", "ClusterSuite", "TwoNodesContract"]
