"""Slurm as far as submitit's local executor can play it: jobs are processes of this machine, which wait for each other.

Run as a program with a folder it is the job itself, whose cells take no time (`quick_worker`).
"""

import shlex
import stat
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import quick_worker
from submitit import LocalExecutor
from submitit.core.submission import submitit_main

# A job's state is a file as long as it waits or runs; how it ended is another.
BEFORE = """
cd {folder}
end() {{ [ $1 = 144 ] || {{ echo $1 > $SUBMITIT_LOCAL_JOB_ID.code; rm $SUBMITIT_LOCAL_JOB_ID.state; }}; }}
trap 'end $?' EXIT
for job in {needed}; do
    until [ -e $job.code ]; do sleep 0.05; done
    [ $(cat $job.code) = 0 ] || exit 1
done
echo RUNNING > $SUBMITIT_LOCAL_JOB_ID.state
"""
COMMANDS = {
    "sbatch": "exit 0",
    "srun": "exit 0",
    "sinfo": "echo gpu; echo cpu",
    "squeue": 'cd {folder}; for each in *.state; do [ -e $each ] && echo "${each%.state}|$(cat $each)|None"; done; :',
}


class LocalSlurm(LocalExecutor):
    """The executor that `hf_stilts.studies.slurm` sets up and submits with."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.given: dict = {}

    def _internal_update_parameters(self, **given: object) -> None:
        self.given |= given

    @property
    def _submitit_command_str(self) -> str:
        dependency = self.given["slurm_additional_parameters"].get("dependency", "afterok:")
        needed = " ".join(each for each in dependency.removeprefix("afterok:").split(":") if each)
        # 144 is how a process ends whose job the local executor is to requeue.
        after = [line.replace("255", "144") for line in self.given["slurm_teardown"]]
        job = shlex.join([sys.executable, __file__, str(self.folder)])
        before = BEFORE.format(folder=shlex.quote(str(self.folder)), needed=needed)
        return shlex.join(["bash", "-c", "\n".join([before, *self.given["slurm_setup"], job, *after])])

    def _submit_command(self, command: str):
        job = super()._submit_command(command)
        (self.folder / f"{job.job_id}.state").write_text("PENDING")
        return job


class Waiting:
    """An executor whose jobs wait for ever, or until it refuses them."""

    def __init__(self, folder: Path, limit: int = 1000) -> None:
        self.folder, self.limit, self.parameters = folder, limit, []
        folder.mkdir(exist_ok=True)

    def update_parameters(self, **given: object) -> None:
        self.parameters.append(given["slurm_additional_parameters"])

    def batch(self):
        return nullcontext()

    def submit(self, job: object) -> SimpleNamespace:
        there = len(list(self.folder.glob("*.state")))
        if there == self.limit:
            raise RuntimeError("sbatch: error: QOSMaxSubmitJobPerUserLimit")
        (self.folder / f"{there}.state").write_text("PENDING")
        return SimpleNamespace(job_id=str(there), paths=SimpleNamespace(stdout=self.folder / f"{there}_log.out"))


def write_commands(folder: Path, jobs: Path, **other: str) -> str:
    """Write Slurm's commands into a folder, some of them with `other` scripts; PATH with this folder alone."""
    folder.mkdir(exist_ok=True)
    for name, script in {**COMMANDS, **other}.items():
        (folder / name).write_text("#!/bin/bash\n" + script.replace("{folder}", str(jobs)) + "\n")
        (folder / name).chmod(stat.S_IRWXU)
    return f"{folder}:/usr/bin:/bin"


if __name__ == "__main__":
    quick_worker.replace_stages()
    submitit_main()
