"""Run under torchrun by test_two_processes.py: a benchmark with all kinds of heads, into the folder that is named."""

import sys

from accelerate import PartialState
from mirrors import CHOSEN

from hf_stilts.studies.benchmark import run_benchmark

model, data_dir, out = sys.argv[1:]
run_benchmark("xtreme", model, out=out, data_dir=data_dir, **CHOSEN)
PartialState().destroy_process_group()  # its threads, left alone, may abort the process at the very end
