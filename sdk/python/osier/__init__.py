# SPDX-License-Identifier: Apache-2.0
"""osier for Python: `osier.worker` writes workers whose functions osier calls. Standard library only."""
