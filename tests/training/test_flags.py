"""Which flags make another run."""

from hf_stilts.training.flags import deciding, names


def test_what_decides_a_result_is_compared_by_value():
    ours = ["--learning-rate=3e-5", "--max_steps", "20", "--bf16", "False", "--lr_scheduler_type", "cosine"]
    theirs = ["--bf16=false", "--max-steps=20", "--disable_tqdm", "true", "--learning_rate", "0.00003"]
    theirs += ["--logging_steps", "5", "--save_total_limit=1", "--report_to", "none", "--lr_scheduler_type=cosine"]
    assert deciding(ours) == deciding(theirs)
    assert deciding([*ours, "--seed", "2"])["seed"] == (2.0,)
    assert deciding(["--max_steps", "20", "--max_steps", "30"]) == {"max_steps": (30.0,)}, "the last one counts"
    assert names(theirs)[:2] == ["bf16", "max_steps"]
