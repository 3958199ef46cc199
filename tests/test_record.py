"""record.py and plot.py: the folder of a run, its table and its picture. (tests/test_train_grpo.py makes whole runs.)"""

import json

import pytest

import plot
import record


def test_the_summary_takes_the_step_that_is_best_on_the_validation_set(tmp_path):
    lines = [{"step": 0, "eval/test/accuracy": 0.1, "eval/test/accuracy/sums": 0.2, "eval/val/accuracy": 0.1, "time/evaluate": 1},
             {"step": 1, "train/accuracy": 0.25, "time/step": 2},
             {"step": 2, "train/accuracy": 0.5, "eval/test/accuracy": 0.6, "eval/test/accuracy/sums": 0.7,
              "eval/val/accuracy": 0.9, "time/step": 2, "time/evaluate": 1},
             {"step": 3, "train/accuracy": 0.75, "eval/test/accuracy": 0.8, "eval/test/accuracy/sums": 0.9,
              "eval/val/accuracy": 0.8, "time/step": 2, "time/evaluate": 1}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = record.summary(tmp_path, "val").splitlines()
    assert table[0].endswith("after 2 steps")
    assert [row.split() for row in table[1:5]] == [["training", "example", "0.250", "0.500"], ["test", "0.100", "0.600"],
                                                   ["sums", "0.200", "0.700"], ["val", "0.100", "0.900"]]
    assert table[5] == "9 seconds, of which evaluation 3"
    assert record.summary(tmp_path, "").splitlines()[0].endswith("after 3 steps")       # no validation set: the last
    picture = plot.draw([tmp_path, tmp_path], tmp_path / "curves.png")
    assert picture.read_bytes()[1:4] == b"PNG"


def test_a_folder_without_metrics_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="metrics.jsonl does not exist"):
        plot.draw([tmp_path], tmp_path / "x.png")


def test_a_rewound_run_keeps_the_lines_up_to_the_checkpoint_and_drops_a_torn_one(tmp_path, world):
    (tmp_path / "metrics.jsonl").write_text('{"step": 0}\n{"step": 1}\n{"step": 2}\n{"st')
    record.rewind(tmp_path, 1, world)
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 0}\n{"step": 1}\n'
