"""What `hf-stilts reproduce` refuses before it trains: records that do not hold all that the training read."""

import pytest

from hf_stilts.errors import StiltsError
from hf_stilts.hub.checkpoints import Checkpoint
from hf_stilts.hub.record import Record, TaskSource
from hf_stilts.studies.reproduce import _arguments, _task


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
        _task(Checkpoint("me/model", commit="0" * 40, record=record), record, 10, None)


def test_the_seed_is_the_one_of_then_zero_included(tmp_path):
    recipe = {"use_cpu": True}
    assert _arguments(Record(phase="intermediate", tasks=(), seed=0, recipe=recipe), tmp_path, "me/x").seed == 0
    assert _arguments(Record(phase="intermediate", tasks=(), recipe=recipe), tmp_path, "me/x").seed == 42
    record = Record(phase="intermediate", tasks=(), recipe={**recipe, "processes": 2})
    with pytest.raises(StiltsError, match="trained by 2 processes; here is 1.*torchrun .* hf-stilts reproduce me/x"):
        _arguments(record, tmp_path, "me/x")
