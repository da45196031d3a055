"""What `hf-stilts reproduce` refuses before it trains: records that do not hold all that the training read."""

import pytest
from huggingface_hub import constants
from pending_checkpoints import api_of

from hf_stilts.errors import StiltsError
from hf_stilts.hub.checkpoints import Checkpoint
from hf_stilts.hub.record import ParentModel, Record, TaskSource
from hf_stilts.studies.reproduce import _arguments
from hf_stilts.studies.reproducible import check_rows, reproducible, same_task


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"excluded": "0123456789abcdef"}, "excluded=0123456789abcdef: it was trained with --exclude or"),
        ({"contrastive_weight": 1.0}, "contrastive_weight=1.0.*Run the command that published it"),
        ({"profile": None}, "no profile not as can be run again"),
    ],
)
def test_a_record_of_rows_that_the_hub_does_not_have(recipe, message):
    settings = {"profile": "jiant", "max_length": 128, **recipe}
    settings = {name: value for name, value in settings.items() if value is not None}
    source = TaskSource("mnli", dataset="nyu-mll/glue", config="mnli", rows=10, language="en")
    record = Record(phase="intermediate", tasks=(source,), languages=("en",), recipe=settings)
    with pytest.raises(StiltsError, match=message):
        check_rows(Checkpoint("me/model", commit="0" * 40, record=record), record)


def test_a_task_that_is_not_installed_is_given_by_its_file(tmp_path):
    (tmp_path / "own.py").write_text(
        "from hf_stilts import Task\nTASK = Task(kind='text-classification', dataset='x/y')"
    )
    assert same_task("own", str(tmp_path / "own.py")).dataset == "x/y"
    assert same_task("mnli", None).name == "mnli"
    with pytest.raises(StiltsError, match="own, which is not installed.*--task own.py"):
        same_task("own", None)
    with pytest.raises(StiltsError, match="on the task own; mnli was given"):
        same_task("own", "mnli")


def test_the_seed_is_the_one_of_then_zero_included(tmp_path):
    recipe = {"use_cpu": True}
    assert _arguments(Record(phase="intermediate", tasks=(), seed=0, recipe=recipe), tmp_path, "me/x").seed == 0
    assert _arguments(Record(phase="intermediate", tasks=(), recipe=recipe), tmp_path, "me/x").seed == 42
    record = Record(phase="intermediate", tasks=(), recipe={**recipe, "processes": 2})
    with pytest.raises(StiltsError, match="trained by 2 processes; here is 1.*torchrun .* hf-stilts reproduce me/x"):
        _arguments(record, tmp_path, "me/x")


def test_a_parent_that_the_hub_does_not_have_is_found_before_anything_is_read(hub, tmp_path, monkeypatch):
    """The task's rows are nowhere: whoever asked for them first would say so."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    api = api_of(hub)
    source = TaskSource("mnli", dataset="nyu-mll/glue", config="mnli", revision="a" * 40, rows=10, language="en")

    def published(name, parent):
        record = Record(
            phase="intermediate",
            tasks=(source,),
            languages=("en",),
            recipe={"profile": "jiant", "max_length": 128},
            parent=parent,
        )
        api.create_repo(name)
        api.upload_file(path_or_fileobj=record.to_json().encode(), path_in_repo="stilts.json", repo_id=name)
        return name

    api.create_repo("org/base")
    commit = api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id="org/base").oid
    assert reproducible(published("me/fine", ParentModel("org/base", commit)), api=api)[3].id == "org/base"
    for number, (parent, message) in enumerate(
        [
            (ParentModel("folder", published=False), "from folder, of which the Hub has no commit"),
            (ParentModel("org/never", "b" * 40), "from org/never@bbbbbbbbbbbb, which cannot be had.*org/never"),
            (ParentModel("org/base", "c" * 40), "from org/base@cccccccccccc, which cannot be had"),
        ]
    ):
        with pytest.raises(StiltsError, match=message):
            reproducible(published(f"me/lost-{number}", parent), api=api)
