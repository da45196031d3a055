"""What publishing costs a training and what of it arrives: off, ours, and two stock settings, on a Hub near and far.

    python benchmarks/publishing.py [--latencies 0 0.2 2] [--repeats 3] [--markdown FILE]

Every run trains the same small classifier for the same steps in a process of its own, with the checkpoints written to
disk in all settings; the Hub is the embedded one in another process, which waits `latency` seconds before each answer.
Settings take turns, so that a busy machine is busy for all. Ratios are to publishing off:

* wall: each step's time, its save included, the least over the repeats; summed over all steps;
* cpu: processor seconds of the training process over all steps, the least over the repeats;
* blocking: share of the steps' time that the training stood still for publishing (our `on_save`; stock's push from the
  checkpoint), the least over the repeats. Wall and cpu also hold what the upload takes from a machine of few cores;
* arrived: saved checkpoints whose weights are in some commit of the Hub, and those under a commit of their own step;
* wait: seconds between the last step and the return of `train()`.
"""

import argparse
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SETTINGS = {
    "off": None,
    "ours": "PublishCheckpoints",
    "stock every_save": {"hub_strategy": "every_save"},
    "stock every_save, hub_always_push": {"hub_strategy": "every_save", "hub_always_push": True},
}
STEPS, SAVE_STEPS = 60, 12
REPO = "me/benchmark"


def serve(folder: str, latency: float) -> None:
    import asyncio

    from hf_stilts.local_hub import LocalHub

    def slow(app):
        async def wait(scope, receive, send):
            await asyncio.sleep(latency)
            await app(scope, receive, send)

        return wait

    with LocalHub(Path(folder), middleware=slow) as hub:
        print(json.dumps(hub.environment()), flush=True)
        sys.stdin.read()


def step_clock():
    """A callback of the Trainer that notes wall and processor time in `marks`."""
    import resource

    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        """Marks the beginning of each step and the end of the last one, saves included."""

        def _now(self):
            usage = resource.getrusage(resource.RUSAGE_SELF)
            return time.perf_counter(), usage.ru_utime + usage.ru_stime

        def on_train_begin(self, args, state, control, **_):
            self.marks = []

        def on_step_begin(self, args, state, control, **_):
            self.marks.append(self._now())

        def on_save(self, args, state, control, **_):
            if state.global_step == STEPS:
                self.marks.append(self._now())

    return Clock()


def train(folder: str, setting: str) -> None:
    import torch
    from datasets import Dataset
    from transformers import Trainer, TrainingArguments, XLMRobertaConfig, XLMRobertaForSequenceClassification

    blocked = []

    def timed(function):
        def call(*arguments, **options):
            begin = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                blocked.append(time.perf_counter() - begin)

        return call

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = XLMRobertaForSequenceClassification(
        XLMRobertaConfig(
            vocab_size=20_000, hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024
        )
    )  # fmt: skip
    rows = {"input_ids": torch.randint(5, 20_000, (STEPS * 8, 64)).tolist(), "labels": [0, 1] * (STEPS * 4)}
    clock, publish, stock = step_clock(), [], {}
    if SETTINGS[setting] == "PublishCheckpoints":
        from hf_stilts.publishing.callback import PublishCheckpoints
        from hf_stilts.publishing.outbox import Pace

        publish = [PublishCheckpoints(REPO, pace=Pace(patience=600.0))]
        publish[0].on_save = timed(publish[0].on_save)
    elif SETTINGS[setting]:
        stock = {"push_to_hub": True, "hub_model_id": REPO, "hub_private_repo": True, **SETTINGS[setting]}
    args = TrainingArguments(
        folder, max_steps=STEPS, save_steps=SAVE_STEPS, per_device_train_batch_size=8, report_to=[], disable_tqdm=True,
        use_cpu=True, logging_strategy="no", save_only_model=True, **stock,
    )  # fmt: skip
    # The clock's on_save comes after ours, so that what we do on a save is counted.
    trainer = Trainer(model, args, train_dataset=Dataset.from_dict(rows), callbacks=[*publish, clock])
    trainer._push_from_checkpoint = timed(trainer._push_from_checkpoint)
    trainer.train()
    done = time.perf_counter()
    steps = [after[0] - before[0] for before, after in itertools.pairwise(clock.marks)]
    cpu = clock.marks[-1][1] - clock.marks[0][1]
    blocking = sum(blocked) / sum(steps)
    print(json.dumps({"steps": steps, "cpu": cpu, "blocking": blocking, "wait": done - clock.marks[-1][0]}))


def arrived(api, folder: Path) -> dict[str, int]:
    """Count the saved checkpoints whose weights are in some commit, and in a commit that names their step."""
    saved = {
        int(path.parent.name.rpartition("-")[2]): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.glob("checkpoint-*/model.safetensors")
    }
    there: dict[str, set[int | None]] = {}
    for commit in api.list_repo_commits(REPO):
        for file in api.get_paths_info(REPO, ["model.safetensors"], revision=commit.commit_id):
            step = re.search(r"step[- ](\d+)", commit.title)
            there.setdefault(file.lfs.sha256, set()).add(int(step[1]) if step else None)
    own = sum(step in there.get(sha256, set()) for step, sha256 in saved.items())
    return {"saved": len(saved), "arrived": sum(sha256 in there for sha256 in saved.values()), "own": own}


def run(setting: str, latency: float) -> dict:
    """One training with its own empty Hub."""
    me = [sys.executable, __file__]
    root = str(Path(__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryDirectory() as folder:
        hub = subprocess.Popen(
            [*me, "serve", f"{folder}/hub", str(latency)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        try:
            given = json.loads(hub.stdout.readline())
            environment |= given | {"HF_HOME": f"{folder}/home", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
            command = [*me, "train", f"{folder}/out", setting]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr)
            result = json.loads(done.stdout.splitlines()[-1])
            if setting != "off":
                from huggingface_hub import HfApi

                result |= arrived(HfApi(endpoint=given["HF_ENDPOINT"], token="local"), Path(folder) / "out")
            return result
        finally:
            hub.communicate("")


def table(latencies: list[float], repeats: int) -> str:
    lines = [
        "| latency | setting | wall | cpu | blocking | saved | arrived | as their own step | wait at the end, s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for latency in latencies:
        results: dict[str, list[dict]] = {setting: [] for setting in SETTINGS}
        for _ in range(repeats):
            for setting in SETTINGS:
                results[setting].append(run(setting, latency))
                last = {key: value for key, value in results[setting][-1].items() if key != "steps"}
                print(latency, setting, last, file=sys.stderr, flush=True)
        least = {}
        for setting, runs in results.items():
            fastest = [min(times) for times in zip(*(run["steps"] for run in runs), strict=True)]
            least[setting] = {"wall": sum(fastest), "cpu": min(run["cpu"] for run in runs)}
        for setting, runs in results.items():
            ratios = [f"{least[setting][key] / least['off'][key]:.3f}" for key in ("wall", "cpu")]
            counts = ["", "", ""]
            if setting != "off":
                counts = [str(min(run[name] for run in runs)) for name in ("saved", "arrived", "own")]
            blocking = f"{100 * min(r['blocking'] for r in runs):.2f} %"
            wait = "" if setting == "off" else f"{max(r['wait'] for r in runs):.1f}"
            cells = [f"{latency * 1000:.0f} ms", setting, *ratios, blocking, *counts, wait]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latencies", type=float, nargs="+", default=[0.0, 0.2, 2.0], help="seconds")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--markdown", type=Path, help="also write the table, with the command, to this file")
    arguments = parser.parse_args()
    found = table(arguments.latencies, arguments.repeats)
    print(found)
    if arguments.markdown:
        command = f"python benchmarks/publishing.py --repeats {arguments.repeats}"
        how = "Every run" + __doc__.partition("Every run")[2]
        text = f"# What publishing costs, and what arrives\n\n`{command}`\n\n{found}\n\n{how}"
        arguments.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], float(sys.argv[3]))
    elif sys.argv[1:2] == ["train"]:
        train(sys.argv[2], sys.argv[3])
    else:
        main()
