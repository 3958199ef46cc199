"""Print the README's fenced bash block number N (from 1), so that CI runs what readers run."""

import re
import sys
from pathlib import Path

blocks = re.findall(r"^```bash\n(.*?)^```", Path("README.md").read_text(encoding="utf-8"), re.M | re.S)
print(blocks[int(sys.argv[1]) - 1])
