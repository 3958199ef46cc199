"""The scripts are flat files in the repository's root: put it on the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
