"""rank_examples.py: the score by hand and on the paper's published histories, ties, the way from a run to --example."""

import json
import math
from itertools import permutations
from pathlib import Path

import pytest

import data
import rank_examples

PAPER = Path(__file__).parent.parent.parent / "shared" / "data" / "one_shot_rlvr"      # real input, where it is there


def test_the_score_is_the_population_standard_deviation_and_the_best_comes_first():
    """0, 1: mean 1/2, mean square deviation 1/4, score 1/2 (with ddof=1 it would be 0.707). 1/8, 3/8, 5/8, 7/8: mean
    1/2, deviations 3/8, 1/8, 1/8, 3/8, their mean square (9 + 1 + 1 + 9) / 64 / 4 = 5/64."""
    histories = {"flat": [0.25] * 7, "eighths": [0.125, 0.375, 0.625, 0.875], "jump": [0, 1], "one": [1.0]}
    ranking = rank_examples.rank(histories)
    assert [name for name, _ in ranking] == ["jump", "eighths", "flat", "one"]
    assert dict(ranking) == pytest.approx({"jump": 0.5, "eighths": math.sqrt(5 / 64), "flat": 0, "one": 0})


def test_ties_go_by_the_value_of_the_id_and_other_ids_come_behind_as_text():
    names = ["b", "10", "9", "a10", "a9", "-1"]
    ranking = rank_examples.rank({name: [0, 1] for name in names})
    assert [name for name, _ in ranking] == ["9", "10", "-1", "a10", "a9", "b"]


def test_the_same_entries_in_another_order_tie_exactly():
    """Sums of floats depend on their order: (0.1 + 0.2) + 0.3 != (0.3 + 0.2) + 0.1. A tie must not."""
    histories = {str(i): list(order) for i, order in enumerate(permutations([0.1, 0.2, 0.3, 0.7]))}
    assert [name for name, _ in rank_examples.rank(histories)] == [str(i) for i in range(24)]


@pytest.mark.parametrize("history", [[], ["0.5"], [0.5, math.nan], [None]])
def test_a_history_that_is_empty_or_not_of_numbers_is_an_error_that_names_the_example(history):
    with pytest.raises(ValueError, match="the history of example '7' must be one number or more"):
        rank_examples.rank({"3": [0, 1], "7": history})


@pytest.mark.skipif(not PAPER.exists(), reason="needs the paper's files beside the repository")
def test_the_papers_published_histories_give_the_papers_ranking():
    ranking = rank_examples.rank(rank_examples.read_histories(PAPER / "acc_step_500.json"))
    assert [int(name) for name, _ in ranking[:13]] == [124, 267, 531, 931, 212, 25, 568, 131, 649, 724, 875, 925, 682]
    assert [name for name, _ in ranking[13:16]] == ["100", "291", "50"] and ranking[13][1] == ranking[14][1]   # a tie
    scores = [score for _, score in ranking]
    assert scores[0] == pytest.approx(0.4068, abs=5e-5) and scores[604] == pytest.approx(0.1073, abs=5e-5)
    assert len(scores) == 1209 and scores.count(0) == 104


# ---------------------------------------------------------------- from a run to --example


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The files of a run on three examples, made by hand; "easy" moves most, "hard" least."""
    monkeypatch.chdir(tmp_path)
    steps = [{"easy": [0.0], "mid": [0.25]}, {"hard": [0.0, 0.0], "easy": [1.0]}, {"mid": [0.5]}]
    lines = [json.dumps(dict(step=i, accuracy=accuracy)) + "\n" for i, accuracy in enumerate(steps, 1)]
    Path("histories.jsonl").write_text("".join(lines))
    pool = [dict(id="hard", question="2^{64}?\nShow it.", answer="18446744073709551616"),
            dict(id="mid", question="6·7?", answer="42", category="products"),
            dict(id="easy", question="1+1?", answer=2)]
    Path("pool.jsonl").write_text("".join(json.dumps(line) + "\n" for line in pool))
    return dict(histories=Path("histories.jsonl"), data="pool.jsonl")


def test_the_histories_of_a_run_are_its_steps_one_behind_the_other(run):
    assert rank_examples.read_histories(run["histories"]) == {"easy": [0, 1], "mid": [0.25, 0.5], "hard": [0, 0]}


@pytest.mark.parametrize("options, chosen", [
    (dict(), ["easy"]), (dict(top=2), ["easy", "mid"]), (dict(worst=True), ["hard"]),
    (dict(top=2, worst=True), ["hard", "mid"])])
def test_what_is_written_are_the_chosen_problems_as_the_trainers_read_them(run, options, chosen):
    rank_examples.main(rank_examples.Config(**run, **options, out="pi.jsonl"))
    pool = {problem.id: problem for problem in data.load("pool.jsonl")}
    assert data.load("pi.jsonl") == [pool[name] for name in chosen]


def test_the_table_shows_rank_id_score_mean_epochs_label_and_question(run, capsys):
    rank_examples.main(rank_examples.Config(**run))
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["rank", "id", "std", "mean", "epochs", "label", "question"]
    assert [line.split(maxsplit=6) for line in lines] == [
        ["1", "easy", "0.5000", "0.5000", "2", "2", "1+1?"], ["2", "mid", "0.1250", "0.3750", "2", "42", "6·7?"],
        ["3", "hard", "0.0000", "0.0000", "2", "18446744073709551616", "2^{64}? Show it."]]
    rank_examples.main(rank_examples.Config(**run, worst=True, show=1))
    assert capsys.readouterr().out.splitlines()[1:] == [lines[2]]


@pytest.mark.parametrize("options, error, message", [
    (dict(histories=Path("none.json")), FileNotFoundError, "none.json: no such file"),
    (dict(data="none.jsonl"), FileNotFoundError, "none.jsonl: no such file"),
    (dict(data="two.jsonl"), ValueError, "histories.jsonl has an example 'hard', but two.jsonl has none"),
    (dict(histories=Path("empty.jsonl")), ValueError, "empty.jsonl: holds no histories"),
    (dict(histories=Path("empty.json")), ValueError, "empty.json: holds no histories"),
    (dict(histories=Path("torn.json")), ValueError, "torn.json: must be {id: [accuracy, ...]}, or .jsonl"),
    (dict(histories=Path("metrics.jsonl")), ValueError, "metrics.jsonl: must be {id: [accuracy, ...]}, or .jsonl"),
    (dict(top=0), ValueError, "--top must be 1 to 3, the number of examples, got 0"),
    (dict(top=4), ValueError, "--top must be 1 to 3, the number of examples, got 4"),
    (dict(out="pi.txt"), ValueError, "--out must end in .jsonl, got 'pi.txt'")])
def test_bad_input_is_one_line_that_names_it(run, options, error, message):
    for name, text in {"empty.jsonl": "", "empty.json": "{}", "torn.json": '{"1": [0.5',
                       "metrics.jsonl": '{"step": 1}\n',
                       "two.jsonl": '{"id": "easy", "question": "1+1?", "answer": 2}\n'}.items():
        Path(name).write_text(text)
    with pytest.raises(error) as got:
        rank_examples.main(rank_examples.Config(**run | options))
    assert message in str(got.value) and "\n" not in str(got.value)
