"""evaluate.py and responses.py: what is asked, what is counted, and that an evaluation can be stopped and resumed."""

import dataclasses
import itertools
import json
import math
import shutil
import statistics
from pathlib import Path

import pytest
import torch
from conftest import run_script

import data
import evaluate
import model
import policy
import responses
import verify

TINY = Path(__file__).parent.parent / "tiny-base"


# ---------------------------------------------------------------- the protocol of arXiv 2504.20571


@pytest.mark.parametrize("recipe, benchmark, samples, temperature, top_p, tokens", [
    ("paper", "math500", 1, 0.0, 1.0, 3072), ("paper", "minerva", 1, 0.0, 1.0, 3072),
    ("paper", "olympiadbench", 1, 0.0, 1.0, 3072), ("paper", "aime24", 8, 0.6, 1.0, 3072),
    ("paper", "amc23", 8, 0.6, 1.0, 3072), ("paper", "aime25", 8, 0.6, 1.0, 3072),
    ("deepseek-r1-distill-qwen-1.5b", "math500", 16, 0.6, 0.95, 8192),
    ("deepseek-r1-distill-qwen-1.5b", "olympiadbench", 16, 0.6, 0.95, 8192),
    ("deepseek-r1-distill-qwen-1.5b", "aime25", 64, 0.6, 0.95, 8192),
    ("deepseek-r1-distill-qwen-1.5b", "amc23", 64, 0.6, 0.95, 8192)])
def test_each_benchmark_is_asked_as_the_paper_asks_it(monkeypatch, tmp_path, world, recipe, benchmark, samples,
                                                      temperature, top_p, tokens):
    asked = {}

    def remember(decoder, tokenizer, problems, world, **settings):
        asked.update(settings)
        return dict(accuracy=0.5, standard_error=0.0, boxed=0.0, finished=1.0, length=1.0, reflection=0)

    monkeypatch.setattr(evaluate, "evaluate", remember)
    config = dataclasses.replace(evaluate.RECIPES[recipe], out=str(tmp_path))
    evaluate.evaluate_checkpoint(config, "tiny", str(TINY), {benchmark: [data.Problem("1+1", "2")]}, world)
    assert (asked["n"], asked["temperature"], asked["top_p"], asked["max_new_tokens"], asked["seed"]) == (
        samples, temperature, top_p, tokens, 0)
    assert not asked["require_box"]         # a final "the answer is 4" counts too; boxed is a column of its own


def test_without_other_names_the_six_benchmarks_of_the_papers_table_are_evaluated_in_its_order(monkeypatch):
    monkeypatch.setattr(data, "load", lambda name: [name])
    assert list(evaluate.load_benchmarks(evaluate.Config())) == ["math500", "aime24", "amc23", "minerva",
                                                                 "olympiadbench", "aime25"]
    mine = evaluate.Config(data=(("aime24=a.jsonl", "own=b.jsonl"), ("c=c.jsonl",)))
    assert evaluate.load_benchmarks(mine) == {"aime24": ["a.jsonl"], "own": ["b.jsonl"], "c": ["c.jsonl"]}


@pytest.mark.parametrize("special, template, stops", [
    (["<|im_start|>", "<|im_end|>", "<|endoftext|>"], "qwen2.5-math", ("<|im_end|>", "<|endoftext|>")),
    (["<|start_header_id|>", "<|eot_id|>", "<|end_of_text|>"], "chat", ("<|eot_id|>", "<|end_of_text|>")),
    (["<｜User｜>", "<｜end▁of▁sentence｜>"], "chat", ("<｜end▁of▁sentence｜>",)),
    (["<eos>"], "plain", ("<eos>",))])
def test_prompt_and_stop_tokens_follow_from_the_model_family(special, template, stops):
    class Tokenizer:
        chat_template, eos_token = None, special[-1]

        def get_vocab(self):
            return dict.fromkeys(special, 0)

    assert evaluate.family(Tokenizer()) == (template, stops)


# ---------------------------------------------------------------- what is counted


class Words:
    """A tokenizer of one token a character; token 1 is the arrow."""
    def __call__(self, text, add_special_tokens):
        return {"input_ids": [1 if c == ">" else ord(c) for c in text]}

    def decode(self, tokens, skip_special_tokens):
        return "".join(map(chr, tokens.tolist()))


class Decoder:
    class config:
        max_position_embeddings = 100


@pytest.fixture
def fixed(monkeypatch):
    """Stand-in for generation: the response to a question is its text after the arrow. Collects the settings."""
    calls = []

    def stream(decoder, prompts, **settings):
        calls.append((prompts, settings))
        for i, p in reversed(list(enumerate(prompts))):           # in another order than asked, as responses end
            yield i, p[p.tolist().index(1) + 1:], None, len(p) < 30

    monkeypatch.setattr(responses, "stream", stream)
    return calls


PROBLEMS = [data.Problem("q>so \\boxed{4}", "4", "sums"), data.Problem("q>the answer is 4.", "4", "sums"),
            data.Problem("q>\\boxed{5}, I Recheck", "4", "products"),
            data.Problem("q>" + "long " * 8 + "\\boxed{4}", "4", "products")]
SETTINGS = dict(template="plain", stop_ids=[2])


def test_in_the_trainers_only_a_boxed_answer_counts(fixed, world):
    got = evaluate.evaluate(Decoder, Words(), PROBLEMS, world, **SETTINGS, max_new_tokens=9)
    assert got == {"accuracy": 0.5, "standard_error": pytest.approx(math.sqrt(1 / 3) / 2), "boxed": 0.75,
                   "finished": 0.75, "length": (12 + 16 + 20 + 49) / 4, "reflection": 1, "timeouts": 0, "errors": 0,
                   "accuracy/sums": 0.5, "accuracy/products": 0.5}


def test_in_the_papers_protocol_a_final_sentence_counts_as_well_and_boxed_is_told_apart(fixed, world):
    got = evaluate.evaluate(Decoder, Words(), PROBLEMS, world, **SETTINGS, max_new_tokens=9, require_box=False)
    assert (got["accuracy"], got["boxed"], got["accuracy/sums"]) == (0.75, 0.75, 1.0)


def test_answers_that_the_verifier_gives_up_on_are_counted_also_after_a_resumption(fixed, world, monkeypatch, tmp_path):
    def give_up(texts, golds, **options):
        graded = verify.Rewards([0.0])
        graded.timeouts, graded.errors = int("Recheck" in texts[0]), int("long" in texts[0])
        return graded

    monkeypatch.setattr(verify, "rewards", give_up)
    for _ in range(2):          # the second time, all is read from the folder
        got = evaluate.evaluate(Decoder, Words(), PROBLEMS, world, **SETTINGS, max_new_tokens=9, folder=tmp_path)
        assert (got["timeouts"], got["errors"], got["accuracy"]) == (1, 1, 0) and len(fixed) == 1


def test_what_goes_wrong_while_grading_is_raised(fixed, world, monkeypatch):
    monkeypatch.setattr(verify, "rewards", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evaluate.evaluate(Decoder, Words(), PROBLEMS, world, **SETTINGS, max_new_tokens=9)


def test_a_prompt_too_long_for_max_new_tokens_gets_the_tokens_that_there_is_room_for(fixed, world):
    evaluate.evaluate(Decoder, Words(), PROBLEMS, world, **SETTINGS, max_new_tokens=60)      # prompts of up to 51
    assert [(len(prompts), settings["max_new_tokens"]) for prompts, settings in fixed] == [(3, 60), (1, 49)]
    with pytest.raises(ValueError, match="prompt of 102 tokens leaves no room for a response: the model has 100"):
        evaluate.evaluate(Decoder, Words(), [data.Problem("x" * 102, "1")], world, **SETTINGS, max_new_tokens=1)


def test_sample_j_of_problem_i_is_sequence_i_n_plus_j_and_long_prompts_come_first(fixed, world):
    evaluate.evaluate(Decoder, Words(), PROBLEMS[:3], world, **SETTINGS, max_new_tokens=9, n=2, temperature=0.6)
    assert fixed[0][1]["sequences"] == [4, 5, 2, 3, 0, 1]                     # prompts of 14, 18 and 22 tokens


def rows(*problems: list[int]) -> list[dict]:
    n = len(problems[0])
    return [dict(sequence=n * i + j, sample=j, correct=float(c), category="", boxed=False, finished=True, length=1,
                 reflection=False, timeouts=0, errors=0) for i, row in enumerate(problems) for j, c in enumerate(row)]


def test_the_standard_error_is_over_problems_of_their_means():
    got = responses.summarize(rows([1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 1, 0]))          # means 1, 0, 1/2
    assert got["accuracy"] == 0.5 and got["standard_error"] == pytest.approx(0.5 / math.sqrt(3))
    assert responses.summarize(rows([1]))["standard_error"] == 0


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_pass_at_k_is_the_share_of_all_choices_of_k_responses_with_a_correct_one(n):
    for correct, k in itertools.product(range(n + 1), range(1, n + 1)):
        choices = list(itertools.combinations([True] * correct + [False] * (n - correct), k))
        assert responses.pass_at_k(n, correct, k) == pytest.approx(statistics.mean(map(any, choices)))


def test_pass_at_k_of_a_set_is_the_mean_over_problems_for_powers_of_two_up_to_the_samples():
    got = responses.summarize(rows([1, 0, 0, 0], [0, 0, 0, 0]))
    assert {name: got[name] for name in got if "@" in name} == {"pass@2": 0.25, "pass@4": 0.5}    # of 1/2, 0; 1, 0


def test_the_average_weighs_benchmarks_equally_and_its_error_is_that_of_independent_ones():
    results = {"a": dict(accuracy=0.2, standard_error=0.03), "b": dict(accuracy=0.6, standard_error=0.04)}
    assert responses.average(results) == (pytest.approx(0.4), pytest.approx(0.025))


def test_the_table_marks_the_best_average_and_says_that_it_selects_on_the_test_sets():
    one = {"math500": dict(accuracy=0.36, standard_error=0.02), "aime24": dict(accuracy=0.1, standard_error=0.0)}
    two = {"math500": dict(accuracy=0.70, standard_error=0.02), "aime24": dict(accuracy=0.2, standard_error=0.0)}
    text = responses.table({"step_20": one, "step_40": two}, evaluate.PAPER)
    assert text.splitlines()[:4] == ["| checkpoint | MATH500 | AIME24 | Avg |", "| --- | --- | --- | --- |",
                                     "| step_20 | 36.0 ± 2.0 | 10.0 ± 0.0 | 23.0 ± 1.0 |",
                                     "| step_40 | 70.0 ± 2.0 | 20.0 ± 0.0 | **45.0 ± 1.0** |"]
    assert "selects on the test sets" in text
    assert "**" not in responses.table({"step_20": one}, evaluate.PAPER)      # nothing was selected


def test_checkpoints_of_a_pattern_are_ordered_by_step_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for step in (100, 20, 3, "4.partial"):                                    # a kill cut off the save of step 4
        Path(f"runs/x/checkpoints/step_{step}").mkdir(parents=True)
    found = evaluate.checkpoints(("runs/x/checkpoints/step_*", "Qwen/Qwen2.5-Math-1.5B"))
    assert list(found) == ["Qwen2.5-Math-1.5B", "x/step_3", "x/step_20", "x/step_100"]
    assert found["x/step_20"] == "runs/x/checkpoints/step_20"


# ---------------------------------------------------------------- ranks, kills and resumption


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_ranks_share_all_that_is_missing_and_nothing_twice(size):
    lengths, n, done = [5, 9, 9, 2, 7], 4, {0, 7, 19}
    shares = [responses.share(lengths, n, done, policy.World(rank, size, None, None)) for rank in range(size)]
    assert sorted(sum(shares, [])) == sorted(set(range(20)) - done)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    for mine in shares:                                                       # each begins with the longest prompts
        assert [lengths[s // n] for s in mine] == sorted((lengths[s // n] for s in mine), reverse=True)


def command(out: str, *options: str, model: Path = TINY) -> list[str]:
    return ["evaluate.py", "--model", str(model), "--data", "own=own.jsonl", "--out", out, "--samples", "2",
            "--temperature", "0.6", "--max-new-tokens", "40", *options]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with nine problems, and their evaluation by one process in whole/."""
    folder = tmp_path_factory.mktemp("evaluation")
    problems = data.load("tiny-heldout")[::90]
    (folder / "own.jsonl").write_text("".join(json.dumps(dict(
        problem=p.question, answer=p.answer, subject=p.category, id=p.id)) + "\n" for p in problems))
    result = run_script(*command("whole"), cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


def written(folder: Path) -> list[dict]:
    files = sorted(folder.glob("tiny-base/own/rank*.jsonl"))
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return sorted(lines, key=lambda line: line["sequence"])


def table(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("| ")]


def test_every_response_is_written_with_what_was_made_of_it(whole):
    folder, output = whole
    lines = written(folder / "whole")
    assert [line["sequence"] for line in lines] == list(range(18)) and [line["sample"] for line in lines] == [0, 1] * 9
    assert {"problem", "text", "answer", "gold", "correct", "boxed", "length", "finished"} <= lines[0].keys()
    results = json.loads((folder / "whole/tiny-base/results.json").read_text())
    right = statistics.mean(line["correct"] for line in lines)
    assert results["benchmarks"]["own"]["accuracy"] == pytest.approx(right) and 0 < right < 1
    assert table(output)[-1] == (folder / "whole/tiny-base/row.md").read_text().splitlines()[-1]
    assert f"| tiny-base | {100 * right:.1f} ±" in output


def test_two_ranks_write_the_same_responses_as_one(whole):
    folder, output = whole
    result = run_script(*command("two"), processes=2, cwd=folder)
    assert result.returncode == 0, result.stderr
    files = sorted((folder / "two/tiny-base/own").glob("rank*.jsonl"))
    assert [len(file.read_text().splitlines()) for file in files] == [9, 9]
    assert written(folder / "two") == written(folder / "whole") and table(result.stdout) == table(output)


def test_a_killed_evaluation_goes_on_without_repeating_or_losing_a_response(whole):
    folder, output = whole
    stopped = folder / "killed/tiny-base/own"
    shutil.copytree(folder / "whole/tiny-base/own", stopped)
    lines = (stopped / "rank0.jsonl").read_text().splitlines(keepends=True)
    (stopped / "rank0.jsonl").write_text("".join(lines[:5]))
    (stopped / "rank3.jsonl").write_text(lines[5] + lines[6] + lines[7][:30])           # the kill cut a line in two
    result = run_script(*command("killed"), processes=2, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert written(folder / "killed") == written(folder / "whole") and table(result.stdout) == table(output)
    assert (stopped / "rank0.jsonl").read_text().startswith("".join(lines[:5]))         # those were not made again
    assert (stopped / "rank3.jsonl").read_text() == lines[5] + lines[6]


def test_an_evaluation_is_not_gone_on_with_under_other_settings(whole, tmp_path):
    folder, _ = whole
    result = run_script(*command("whole", "--seed", "1"), cwd=folder)
    assert result.returncode == 1 and "own was begun with seed 0, not 1" in result.stderr, result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    shutil.copytree(TINY, tmp_path / "tiny-base")                                        # the same name, other weights
    decoder = model.load(TINY)
    model.save(decoder.requires_grad_(False).to(torch.float16), tmp_path / "tiny-base", model.load_tokenizer(TINY))
    result = run_script(*command("whole", model=tmp_path / "tiny-base"), cwd=folder)
    assert result.returncode == 1 and "own was begun with weights" in result.stderr, result.stderr


def test_settings_without_a_response_are_replaced(tmp_path, world):
    responses.open_folder(tmp_path, dict(top_p=1.5), world)
    (tmp_path / "rank0.jsonl").write_text("")
    responses.open_folder(tmp_path, dict(top_p=0.9), world)
    assert json.loads((tmp_path / "settings.json").read_text()) == dict(top_p=0.9)
    (tmp_path / "rank0.jsonl").write_text('{"sequence": 0, "text": "a"}\n')
    with pytest.raises(ValueError, match="begun with top_p 0.9, not 1.0"):
        responses.open_folder(tmp_path, dict(top_p=1.0), world)


@pytest.mark.parametrize("line, message", [
    ('{"sequence": 0, "text": "b"}', "{folder} holds responses twice .*: delete it"),
    ("{{", "{folder}/rank1.jsonl:2: not a response"), ("[1]", "{folder}/rank1.jsonl:2: not a response"),
    ("{}", "{folder}/rank1.jsonl:2: not a response"), ("\x00", "{folder}/rank1.jsonl:2: not a response")])
def test_a_folder_with_a_response_twice_or_a_broken_line_is_not_gone_on_with(tmp_path, world, line, message):
    (tmp_path / "rank0.jsonl").write_text('{"sequence": 0, "text": "a"}\n')
    (tmp_path / "rank1.jsonl").write_text('{"sequence": 1, "text": "a"}\n' + line + "\n")
    with pytest.raises(ValueError, match=message.format(folder=tmp_path)):
        responses.read_folder(tmp_path, world)


@pytest.mark.parametrize("options, message", [
    ([], "--model is missing"), (["--model", "step_*", "--benchmarks", "math500"], "--model step_*: nothing matches"),
    (["--model", "step_*"], "--model step_*: nothing matches"),
    (["nonsense"], "unknown recipe 'nonsense'; there are paper, deepseek-r1-distill-qwen-1.5b"),
    (["--data", "own"], "--data own: give NAME=FILE"), (["--data", "own=x.jsonl"], "x.jsonl: no such file"),
    (["--data", "a=x.jsonl", "--benchmarks", "b"], "--data names a, which --benchmarks does not"),
    (["--data", "a=x.jsonl", "b=y.jsonl", "--data", "c=z.jsonl", "--benchmarks", "a", "b"], "--data names c, which"),
    (["--top-p", "1.5"], "--top-p must be above 0 and at most 1, got 1.5"),
    (["--samples", "4"], "4 samples at temperature 0.0: only a single one can be greedy"),
    (["--max-new-tokens", "0"], "--max-new-tokens must be at least 1, got 0"),
    (["--dtype", "int8"], "--dtype must be float32 or bfloat16, got 'int8'")])
def test_mistakes_on_the_command_line_are_told_in_one_line(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(policy, "start", lambda: policy.World(0, 1, torch.device("cpu"), None))
    monkeypatch.setattr(data, "hf_hub_download", None)          # the hub is not asked before the mistake is found
    if "--data" in options:
        options = [*options, "--model", str(TINY)]
    elif "--benchmarks" not in options and "--model" in options:
        options = [*options, "--benchmarks", "tiny-heldout"]
    elif not options:
        options = ["--benchmarks", "tiny-heldout"]
    with pytest.raises(SystemExit) as end:
        evaluate.main(options)
    assert message in str(end.value) and "\n" not in str(end.value)


# ---------------------------------------------------------------- in the trainers


@pytest.mark.parametrize("name, source, temperature", [
    ("math500.jsonl@0.6", "math500.jsonl", 0.6), ("tiny-heldout", "tiny-heldout", 0.0),
    ("me@home/x.jsonl", "me@home/x.jsonl", 0.0)])
def test_the_temperature_of_a_set_stands_behind_the_last_at_sign(name, source, temperature):
    assert evaluate.source_and_temperature(name) == (source, temperature)


@pytest.mark.parametrize("name", ["x.jsonl@-1", "x.jsonl@nan", "x.jsonl@inf"])
def test_a_temperature_that_cannot_be_sampled_at_is_refused(name):
    with pytest.raises(ValueError, match=f"^{name}: the temperature behind the @ must be a number, 0 or more$"):
        evaluate.source_and_temperature(name)


def test_real_generation_is_scored_greedily_by_default(folders, tokenizer, world):
    decoder = model.load(folders["qwen2-tied"])
    problems = [data.Problem(f"{i}+{i}?", str(2 * i)) for i in range(5)]
    scores = [evaluate.evaluate(decoder, tokenizer, problems, world, template="plain", stop_ids=[256], max_new_tokens=8,
                                seed=seed) for seed in (0, 1)]
    assert scores[0] == scores[1] and scores[0]["accuracy"] == 0 and 1 <= scores[0]["length"] <= 8
