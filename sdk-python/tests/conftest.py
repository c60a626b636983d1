"""Before gRPC is imported."""

import os

# The tests start programs while a gRPC server runs in their own process. gRPC's fork handlers are for children that go on with
# gRPC; in those that exec at once they only race with its threads.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
