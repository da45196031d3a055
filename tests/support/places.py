"""Where things lie: the project, what tests share, real text and a real encoder where there are any."""

import os
from pathlib import Path

SUPPORT = Path(__file__).resolve().parent
ROOT = SUPPORT.parents[1]
DATA = Path(os.environ.get("HF_STILTS_TEST_DATA", ROOT.parent / "shared" / "data"))
ENCODER = ROOT / "encoder" / "multilingual-e5-small"
