"""data.py: the paper's examples and prompts to the letter, and clear errors for files that do not fit."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import data

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
QWEN_MATH = ("<|im_start|>system\nPlease reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n"
             "<|im_start|>user\nWhat is {x}?<|im_end|>\n<|im_start|>assistant\n")


def test_the_qwen_math_prompt_renders_to_the_letter_braces_of_the_question_included():
    assert data.render(None, "What is {x}?", "qwen2.5-math") == QWEN_MATH


def test_the_chat_template_of_the_tokenizer_is_used_with_a_generation_prompt(tokenizer):
    tokenizer.chat_template = ("{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}"
                               "{% if add_generation_prompt %}[assistant]{% endif %}")
    assert data.render(tokenizer, "Why?", "chat") == "[user] Why?\n[assistant]"
    tokenizer.chat_template = None
    with pytest.raises(ValueError, match="no chat template"):
        data.render(tokenizer, "Why?", "chat")


def test_special_tokens_of_the_prompt_are_single_tokens_and_none_is_added(tokenizer):
    ids = data.encode(tokenizer, "<|im_start|>a<|im_end|>").tolist()
    assert ids == [257, *tokenizer("a")["input_ids"], 258]


def test_stop_tokens_become_ids_in_order(tokenizer):
    assert data.stop_ids(tokenizer, ("<|im_end|>", "<|endoftext|>")) == [258, 256]


def test_pi1_is_the_papers_first_example_with_its_label_and_the_training_suffix():
    (pi1,) = data.load("pi1")
    assert pi1.answer == "12.8" and pi1.id == "dsr_sub:124"
    assert pi1.question.startswith("The pressure \\( P \\) exerted by wind on a sail varies jointly")
    assert pi1.question.endswith("Let's think step by step and output the final answer within \\boxed{}.")


@pytest.mark.parametrize("name, row, label", [
    ("pi2", 267, "24"), ("pi13", 682, "\\frac{4}{3}"), ("pi606", 906, "19"), ("pi1201", 847, "206"),
    ("pi1207", 174, "\\frac{4}{5}"), ("pi1209", 789, "-\\frac{2023}{2024}")])
def test_examples_carry_the_released_labels_and_rows(name, row, label):
    (problem,) = data.load(name)
    assert (problem.id, problem.answer) == (f"dsr_sub:{row}", label)


@pytest.mark.skipif(not SHARED.exists(), reason="needs the paper's files beside the repository")
def test_every_named_example_equals_the_released_parquet_row():
    pool = pq.read_table(SHARED / "one_shot_rlvr" / "dsr_sub.parquet").to_pylist()
    assert len(data.EXAMPLES) == 23
    for name, (row, _, _) in data.EXAMPLES.items():
        (problem,) = data.load(name)
        assert problem.question == pool[row]["prompt"][0]["content"]
        assert problem.answer == pool[row]["reward_model"]["ground_truth"]
    assert len(data.load(str(SHARED / "one_shot_rlvr" / "merge_pi1_pi13_r128.parquet"))) == 128


@pytest.mark.skipif(not SHARED.exists(), reason="needs the Qwen2.5 tokenizer beside the repository")
def test_with_the_real_qwen_tokenizer_the_prompt_of_pi1_is_the_templates_tokens():
    from transformers import Qwen2Tokenizer
    files = SHARED / "qwen2.5_tokenizer"
    tokenizer = Qwen2Tokenizer(vocab=str(files / "vocab.json"), merges=str(files / "merges.txt"))
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]})
    prompt = data.render(tokenizer, data.load("pi1")[0].question, "qwen2.5-math")
    ids = data.encode(tokenizer, prompt).tolist()
    assert tokenizer.decode(ids) == prompt
    assert ids[:3] == [151644, 8948, 198] and ids.count(151644) == 3 and ids.count(151645) == 2     # system, newline
    assert data.stop_ids(tokenizer, ("<|im_end|>", "<|endoftext|>")) == [151645, 151643]


def test_a_parquet_file_in_the_papers_format_loads(tmp_path):
    row = dict(prompt=[dict(role="user", content="2+2?")], reward_model=dict(ground_truth="4", style="rule"),
               extra_info=dict(index=7, split="train"))
    pq.write_table(pa.Table.from_pylist([row, row]), tmp_path / "x.parquet")
    assert data.load(str(tmp_path / "x.parquet")) == [data.Problem("2+2?", "4", id="7")] * 2


def test_a_jsonl_file_loads_with_the_field_names_in_use(tmp_path):
    lines = [dict(problem="a", answer=27.0, subject="Algebra"), dict(question="b", answer="1/2", id="x")]
    (tmp_path / "x.jsonl").write_text("\n\n".join(map(json.dumps, lines)))
    assert data.load(str(tmp_path / "x.jsonl")) == [data.Problem("a", "27", "Algebra", "0"),
                                                    data.Problem("b", "1/2", "", "x")]


@pytest.mark.parametrize("content, message", [
    ("", "the file holds no problems"),
    ('{"problem": "a", "answer": 1}\n{"problem": "b"}', "x.jsonl:2: needs the fields problem (or question) and answer"),
    ('{"answer": 1}', "x.jsonl:1: needs the fields"),
    ("[1]", "x.jsonl:1: needs the fields"),
    ("{", "x.jsonl:1: not JSON")])
def test_a_jsonl_file_that_does_not_fit_is_named_with_its_line(tmp_path, content, message):
    (tmp_path / "x.jsonl").write_text(content)
    with pytest.raises(ValueError) as error:
        data.load(str(tmp_path / "x.jsonl"))
    assert message in str(error.value)


def test_a_parquet_file_without_the_papers_columns_is_named(tmp_path):
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="row 0: needs the columns prompt .* and reward_model.ground_truth"):
        data.load(str(tmp_path / "x.parquet"))
