"""record.py and plot.py: the folder of a run, its table and its picture. (tests/test_train_grpo.py makes whole runs.)"""

import json
import re
import shlex
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
import tyro
from conftest import ROOT

import data
import evaluate
import plot
import rank_examples
import record
import train_grpo
import train_ppo


def test_the_summary_takes_the_step_that_is_best_on_the_validation_set(tmp_path):
    lines = [{"step": 0, "eval/a/test.jsonl/accuracy": 0.1, "eval/a/test.jsonl/accuracy/sums": 0.2, "eval/val/accuracy": 0.1, "time/evaluate": 1},
             {"step": 1, "train/accuracy": 0.25, "time/step": 2},
             {"step": 2, "train/accuracy": 0.5, "eval/a/test.jsonl/accuracy": 0.6, "eval/a/test.jsonl/accuracy/sums": 0.7,
              "eval/val/accuracy": 0.9, "time/step": 2, "time/evaluate": 1},
             {"step": 3, "train/accuracy": 0.75, "eval/a/test.jsonl/accuracy": 0.8, "eval/a/test.jsonl/accuracy/sums": 0.9,
              "eval/val/accuracy": 0.8, "time/step": 2, "time/evaluate": 1}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = record.summary(tmp_path, "val").splitlines()
    assert table[0].endswith("after 2 steps")
    assert [row.split() for row in table[1:5]] == [["training", "example", "0.250", "0.500"], ["a/test.jsonl", "0.100", "0.600"],
                                                   ["sums", "0.200", "0.700"], ["val", "0.100", "0.900"]]
    assert table[5] == "6 seconds of training, 3 of evaluation"
    assert record.summary(tmp_path, "").splitlines()[0].endswith("after 3 steps")       # no validation set: the last
    picture = plot.draw([tmp_path, tmp_path], tmp_path / "curves.png")
    assert picture.read_bytes()[1:4] == b"PNG"


def test_after_a_resume_with_other_sets_the_table_has_those_that_base_and_best_both_have(tmp_path):
    lines = [{"step": 0, "eval/old/accuracy": 0.1, "eval/both/accuracy": 0.2, "time/evaluate": 1},
             {"step": 1, "train/accuracy": 0.5, "eval/both/accuracy": 0.4, "eval/new/accuracy": 0.7, "time/evaluate": 1}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = record.summary(tmp_path, "new").splitlines()
    assert [row.split() for row in table[1:-2]] == [["training", "example", "0.500", "0.500"], ["both", "0.200", "0.400"]]
    assert table[-1].endswith("step_1")


def test_a_folder_without_metrics_and_a_picture_of_another_kind_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="metrics.jsonl does not exist"):
        plot.draw([tmp_path], tmp_path / "x.png")
    (tmp_path / "metrics.jsonl").write_text('{"st')
    with pytest.raises(ValueError, match="metrics.jsonl has no line yet"):
        plot.draw([tmp_path], tmp_path / "x.png")
    for name in ("x", "x.doc"):
        with pytest.raises(ValueError, match=f"--out must end in .png, .pdf or .svg, got .*{name}"):
            plot.draw([tmp_path], tmp_path / name)


def test_a_line_that_a_running_run_is_still_writing_is_left_out(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 0, "eval/é/accuracy": 1}\n{"step": 1, "tr', encoding="utf-8")
    assert plot.read(tmp_path) == [{"step": 0, "eval/é/accuracy": 1}]


@pytest.mark.parametrize("decoding, said", [(15245, "decodes 64 of its 64"), (40, "decodes 40 of its 64")])
def test_the_announcement_says_how_many_of_a_ranks_responses_decode_at_a_time(capsys, decoding, said):
    """16 rows x 8 responses on 2 processes: 64 each."""
    world = SimpleNamespace(rank=0, size=2, device=torch.device("cpu"))
    run = SimpleNamespace(world=world, decoding=decoding, dtype=torch.float32, prompts=[[1]],
                          problems=[data.Problem("1+1?", "2")], tokenizer=SimpleNamespace(decode=str))
    record.announce(train_grpo.Config(), run, "runs/tiny")
    assert f"each {said} responses at a time" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["example", "stop_tokens"])
def test_no_example_and_no_stop_token_are_refused_by_name(world, name):
    with pytest.raises(ValueError, match=f"--{name.replace('_', '-')} wants one name or more"):
        record.check(train_grpo.Config(**{name: ()}), world)


def test_a_rewound_run_keeps_the_lines_up_to_the_checkpoint_and_drops_a_torn_one(tmp_path, world):
    odd = '{"step": 1, "text": "\u2028 is no end of a line"}\n'
    for name in ("metrics.jsonl", "rollouts.jsonl", "histories.jsonl", "mine.jsonl"):
        (tmp_path / name).write_text('{"step": 0}\n' + odd + '{"step": 2}\n{"st')
    record.rewind(tmp_path, 1, world)
    for name in ("metrics.jsonl", "rollouts.jsonl", "histories.jsonl"):
        assert (tmp_path / name).read_text() == '{"step": 0}\n' + odd
    assert (tmp_path / "mine.jsonl").read_text().endswith('{"st')                     # not a file of the run


# ---------------------------------------------------------------- training examples and their histories


def test_a_label_replaces_the_answer_of_one_example_also_where_it_is_repeated(tmp_path):
    (pi1,) = record.load_examples(("pi1",))
    assert pi1.answer == "12.8"
    changed = record.load_examples(("pi1", "pi1"), label="12.7")
    assert [p.answer for p in changed] == ["12.7", "12.7"] and {p.question for p in changed} == {pi1.question}
    with pytest.raises(ValueError, match="--label is the answer of one example"):
        record.load_examples(("pi1", "pi13"), label="12.7")


def test_different_examples_with_one_id_are_refused_since_histories_go_by_id(tmp_path):
    """Lines without an id are numbered in each file, so the first lines of two files are both 0."""
    for name, question in (("a.jsonl", "1+1?"), ("b.jsonl", "1+1?"), ("c.jsonl", "2+2?")):
        (tmp_path / name).write_text(json.dumps(dict(question=question, answer=2)))
    assert len(record.load_examples((str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")))) == 2
    with pytest.raises(ValueError, match="different training examples have the id '0'"):
        record.load_examples((str(tmp_path / "a.jsonl"), str(tmp_path / "c.jsonl")))


def test_the_histories_of_a_step_are_the_group_means_in_the_order_of_the_rows_over_all_ranks():
    """Five rows hold examples a b b a c; groups of 2; of two ranks, rank 0 has rows 0, 2, 4 and rank 1 rows 1, 3."""
    problems = [data.Problem("", "", id=name) for name in "abc"]
    examples, rewards = [0, 1, 1, 0, 2], [[0, 1], [1, 1], [0, 0], [1, 1], [0, 1]]
    expected = [dict(step=7, accuracy={"a": [0.5, 1], "b": [1, 0], "c": [0.5]})]

    def batch(rows):
        return SimpleNamespace(examples=[examples[row] for row in rows],
                               rewards=torch.tensor([float(r) for row in rows for r in rewards[row]]))

    def run(rank, size, gather):
        return SimpleNamespace(problems=problems, world=SimpleNamespace(rank=rank, size=size, gather=gather))

    assert record.histories(run(0, 1, lambda mine: mine), batch([0, 1, 2, 3, 4]), step=7) == expected
    of_rank_1 = []
    record.histories(run(1, 2, lambda mine: of_rank_1.extend(mine) or mine), batch([1, 3]), step=7)
    assert record.histories(run(0, 2, lambda mine: mine + of_rank_1), batch([0, 2, 4]), step=7) == expected


@dataclass(frozen=True)
class Settings:
    name: str = ""
    model: str = "small"
    resume: str = ""
    steps: int = 3


def test_a_run_takes_the_next_free_number_and_never_a_taken_name(tmp_path, monkeypatch, world):
    monkeypatch.chdir(tmp_path)
    assert [str(record.open_run(Settings(), "tiny", world)) for _ in range(3)] == ["runs/tiny", "runs/tiny-2", "runs/tiny-3"]
    with pytest.raises(ValueError, match="runs/tiny exists: choose another --name"):
        record.open_run(Settings(name="tiny"), "tiny", world)


def test_a_resumed_run_records_the_settings_it_goes_on_with(tmp_path, monkeypatch, world):
    monkeypatch.chdir(tmp_path)
    folder = record.open_run(Settings(), "tiny", world)
    config, recipe = record.parse(Settings, {"tiny": Settings()}, ["--resume", str(folder), "--steps", "9"])
    assert (config.steps, recipe) == (9, "tiny")
    assert record.open_run(config, recipe, world) == folder
    saved = json.loads((folder / "config.json").read_text())
    assert saved["config"] == {"name": "", "model": "small", "resume": "", "steps": 9} and saved["about"]["recipe"] == "tiny"


@pytest.mark.parametrize("arguments, message", [
    (["big"], "unknown recipe 'big'; there are tiny"),
    (["--resume", "runs/none"], "--resume wants the folder of a run"),
    (["tiny", "--resume", "runs/tiny"], "--resume goes on with the recipe, the name and the model that the run has"),
    (["--resume", "runs/tiny", "--name", "x"], "--resume goes on with the recipe, the name and the model that the run"),
    (["--resume", "runs/tiny", "--model", "large"], "--resume goes on with the recipe, the name and the model that"),
    (["--resume", "hf"], "config.json is not a run's config.json"),
    (["--resume", "torn"], "config.json is not a run's config.json"),
    (["--resume", "runs/other"], "runs/other is a run of another trainer or version: they differ in the setting gamma")])
def test_a_command_line_that_cannot_be_followed_ends_with_one_line(tmp_path, monkeypatch, world, arguments, message):
    monkeypatch.chdir(tmp_path)
    record.open_run(Settings(), "tiny", world)
    for folder, text in (("hf", '{"model_type": "qwen2"}'), ("torn", '{"config": ')):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text(text)
    (tmp_path / "runs" / "other").mkdir()
    (tmp_path / "runs" / "other" / "config.json").write_text(
        json.dumps(dict(config=dict(name="", model="small", resume="", steps=3, gamma=1.0), about=dict(recipe="tiny"))))
    with pytest.raises(SystemExit) as end:
        record.parse(Settings, {"tiny": Settings()}, arguments)
    assert message in str(end.value) and "\n" not in str(end.value)


def test_only_the_first_process_says_why_it_ends(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(SystemExit) as end:
        record.fail("no")
    assert end.value.code == 1


# ---------------------------------------------------------------- docs/reproduce.md

GUIDE = (ROOT / "docs" / "reproduce.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"(?:torchrun --nproc-per-node 8|python) (\w+\.py .+?)(?:`|\n)", GUIDE)


def settings(command):
    """The command's script read as the script reads it."""
    script, *arguments = shlex.split(command)
    if script in ("train_grpo.py", "train_ppo.py"):
        trainer = dict([("train_grpo.py", train_grpo), ("train_ppo.py", train_ppo)])[script]
        return record.parse(trainer.Config, trainer.RECIPES, arguments)[0]
    if script == "rank_examples.py":
        return tyro.cli(rank_examples.Config, args=arguments)
    recipe = arguments.pop(0) if arguments[0] in evaluate.RECIPES else "paper"
    assert script == "evaluate.py"
    return tyro.cli(evaluate.Config, args=arguments, default=evaluate.RECIPES[recipe])


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_every_command_of_the_guide_is_one_that_its_script_understands(command):
    config = settings(command)
    for name in (*getattr(config, "example", ()), *getattr(config, "benchmarks", ())):
        assert name in (*data.EXAMPLES, *data.BENCHMARKS) or name.endswith((".jsonl", ".parquet"))


def test_a_name_in_the_guide_is_one_run_in_whatever_table():
    runs = {}
    for config in map(settings, COMMANDS):
        if name := getattr(config, "name", ""):
            assert runs.setdefault(name, config) == config
    assert len(runs) > 50


def test_the_guide_has_every_row_of_the_papers_ablation():
    """Table 5: the coefficients of its rows (policy gradient, weight decay, KL, entropy) and the label."""
    rows = re.findall(r"^\| (\d+) \|.*`torchrun --nproc-per-node 8 (train_grpo.+?)`", GUIDE, re.MULTILINE)
    got = {int(number): settings(command) for number, command in rows}
    table = {number: (config.policy_coef, config.weight_decay, config.kl_coef, config.entropy_coef, config.label)
             for number, config in got.items()}
    wd, kl, ent = 0.01, 0.001, 0.001
    assert table == {1: (0, 0, 0, 0, ""), 2: (1, 0, 0, 0, ""), 3: (1, wd, 0, 0, ""), 4: (1, wd, kl, 0, ""),
                     5: (1, wd, kl, ent, ""), 6: (1, wd, kl, 0.003, ""), 7: (1, 0, 0, ent, ""), 8: (0, wd, kl, 0, ""),
                     9: (0, wd, kl, ent, ""), 10: (0, 0, 0, ent, ""), 11: (1, wd, kl, ent, "12.7"),
                     12: (1, wd, kl, ent, "4"), 13: (1, wd, kl, ent, "929725")}


def test_the_guides_gpu_hours_are_those_of_its_formula():
    seconds = {}
    for line in re.findall(r"^\| (\S+), (GRPO|PPO) \| ([\d., |]+) \|$", GUIDE, re.MULTILINE):
        P, c, m, M, sample, update, step = (float(cell.replace(",", "")) for cell in line[2].split(" | "))
        reading = (2e9 * P * M + 128 * m * (170 + m / 2) * c) / 4.8e12 / 0.5
        learning = dict(GRPO=10, PPO=20)[line[1]] * 1e9 * P * 128 * m / 989e12 / 0.4
        assert (sample, update, step) == pytest.approx((reading, learning, reading + learning), abs=0.06)
        seconds[f"train_{line[1].lower()}.py {line[0]}"] = step
    assert len(seconds) == 5
    rows = re.findall(r"`torchrun --nproc-per-node 8 ((train_\w+\.py \S+).*?)` \|.*\| ([\d.]+) \| [^|]*\|$",
                      GUIDE, re.MULTILINE)
    assert len(rows) > 60
    for command, recipe, hours in rows:
        expected = 8 * settings(command).steps * seconds[recipe] / 3600
        assert float(hours) == pytest.approx(expected, abs=0.5 if expected > 10 else 0.05), command
