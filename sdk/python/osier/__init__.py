# SPDX-License-Identifier: Apache-2.0
"""osier for Python: `osier.worker` writes workers, `osier.client` talks to a node. Standard library only."""
