"""data.py: the paper's examples and prompts to the letter, and clear errors for files that do not fit."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

import data

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
QWEN_MATH = ("<|im_start|>system\nPlease reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n"
             "<|im_start|>user\nWhat is {x}?<|im_end|>\n<|im_start|>assistant\n")


def test_the_qwen_math_prompt_renders_to_the_letter_braces_of_the_question_included(tokenizer):
    assert data.render(tokenizer, "What is {x}?", "qwen2.5-math") == QWEN_MATH


@pytest.mark.parametrize("unknown", [None, "[UNK]"])
def test_a_template_whose_special_token_the_tokenizer_lacks_is_refused(unknown):
    other = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]")),
                                    unk_token=unknown)
    with pytest.raises(ValueError, match=r"--template qwen2.5-math needs the token <\|im_start\|>, which"):
        data.render(other, "a", "qwen2.5-math")
    assert data.render(other, "a", "plain") == "a"


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


def write(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("\n\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("rows, problems", [
    # the fields that the files of the six benchmarks have which the paper's code brings: MATH500, AIME 2024, AMC 2023,
    ([dict(problem="a", answer="p - q", solution="\\boxed{x}", subject="Algebra", unique_id="test/1.json")],
     [data.Problem("a", "p - q", "Algebra", "test/1.json")]),
    ([dict(id=60, problem="a", question="a", answer="204", solution="9")], [data.Problem("a", "204", "", "60")]),
    ([dict(id=0, question="a", answer=27.0)], [data.Problem("a", "27", "", "0")]),
    # Minerva, OlympiadBench and AIME 2025
    ([dict(problem="a", solution="so \\fbox{1} and then \\boxed{12.5}\\%$ and more", type="Astronomy", idx=3)],
     [data.Problem("a", "12.5", "Astronomy", "3")]),
    ([dict(id=1606, subfield="Algebra", question="a", solution=["\\boxed{7}"], final_answer=["$2^{3}$"], unit="km"),
      dict(id=1607, subfield="Algebra", question="b", solution=["no"], final_answer=["2", "3"], unit=None)],
     [data.Problem("a", "$2^{3}$", "Algebra", "1606"), data.Problem("b", "2, 3", "Algebra", "1607")]),
    ([dict(problem=5, answer=["\\boxed{2}", "\\boxed{3}"])], [data.Problem("5", "2 or 3", "", "0")]),
    ([dict(problem="a", answer="70"), dict(problem="b", answer="588")],
     [data.Problem("a", "70", "", "0"), data.Problem("b", "588", "", "1")])])
def test_files_load_with_the_field_names_in_use(tmp_path, rows, problems, suffix):
    assert data.load(str(write(tmp_path / f"x.{suffix}", rows))) == problems


ARC = [dict(id="M", question="Which is a metal?", choices=dict(text=["wood", "iron"], label=["A", "B"]), answerKey="B"),
       dict(id="N", question="And?", choices=dict(text=["tin", "air", "oil"], label=["1", "2", "3"]), answerKey="1")]
HUB = {     # three-line stand-ins with the fields that the hub's files have
    "math500": [dict(problem=f"p{i}", solution="\\boxed{0}", answer=str(i), subject="Algebra", unique_id=f"u{i}")
                for i in range(3)],
    "aime24": [dict(id=60 + i, problem=f"p{i}", solution=f"\\boxed{{{i}}}", url="") for i in range(3)],
    "amc23": [dict(id=i, answer=float(i), url="", question=f"p{i}") for i in range(3)],
    "minerva": [dict(question=f"p{i}", answer=str(i)) for i in range(3)],
    "olympiadbench": [dict(id=i, subfield="Algebra", question=f"p{i}", final_answer=[str(i)]) for i in range(3)],
    "aime25": [dict(problem=f"p{i}", answer=str(i), id=str(i)) for i in range(3)],
    "arc-easy": ARC, "arc-challenge": ARC}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A local folder in the hub's place: dataset/revision/file."""
    def download(dataset, file, *, repo_type, revision):
        assert repo_type == "dataset" and len(revision) == 40       # a commit: "main" may change
        path = tmp_path / dataset / revision / file
        if not path.is_file():
            raise FileNotFoundError(f"404: {dataset}/{file}\nand more lines")
        return str(path)

    monkeypatch.setattr(data, "hf_hub_download", download)
    for name, rows in HUB.items():
        dataset, revision, file, *_ = data.BENCHMARKS[name]
        write(tmp_path / dataset / revision / file, rows)
    return tmp_path


@pytest.mark.parametrize("name, category, first_id", [
    ("math500", "Algebra", "u0"), ("aime24", "", "60"), ("amc23", "", "0"), ("minerva", "", "0"),
    ("olympiadbench", "Algebra", "0"), ("aime25", "", "0")])
def test_a_benchmark_comes_from_the_hub_by_its_name(hub, name, category, first_id):
    problems = data.load(name)
    assert [p.question for p in problems] == ["p0", "p1", "p2"] and [p.answer for p in problems] == ["0", "1", "2"]
    assert (problems[0].category, problems[0].id) == (category, first_id)


def test_arc_lists_its_choices_by_letter_and_asks_for_a_letter(hub):
    metal, number = data.load("arc-challenge")
    assert metal == data.Problem("Which is a metal?\n(A) wood\n(B) iron\nAnswer with the letter of the correct choice.",
                                 "B", id="M")
    assert number.question.startswith("And?\n(A) tin\n(B) air\n(C) oil\n") and number.answer == "A"     # label "1"
    assert "boxed" not in metal.question                            # that is the template's business


def test_a_benchmark_that_is_not_on_the_hub_or_has_other_fields_is_named(hub):
    dataset, revision, file, *_ = data.BENCHMARKS["minerva"]
    write(hub / dataset / revision / file, [dict(question="a", answer="1"), dict(question="b", solution="\\boxed{2}")])
    with pytest.raises(ValueError, match=f"{file}:3: needs the field answer$"):      # the registry says where it stands
        data.load("minerva")
    (hub / dataset / revision / file).unlink()
    with pytest.raises(FileNotFoundError) as error:
        data.load("minerva")
    assert "minerva: math-ai/minervamath was not found on the hub (404" in str(error.value)
    assert "\n" not in str(error.value) and "give a .jsonl or .parquet file" in str(error.value)


@pytest.mark.skipif(not SHARED.exists(), reason="needs the benchmark files beside the repository")
@pytest.mark.parametrize("file, count, answers", [
    ("math500", 500, {0: "\\left( 3, \\frac{\\pi}{2} \\right)", 2: "\\frac{14}{3}"}),
    ("aime24", 30, {0: "204", 2: "371"}),
    ("amc23", 40, {0: "27", 15: "-1"}), ("minerva_math", 272, {0: "1.6", 1: "4.5e33", 231: "100", 242: "12.5"}),
    ("olympiadbench", 675, {0: "2", 1: "$\\frac{1}{2 n+2}$"}), ("aime25", 30, {0: "70", 2: "16"})])
def test_the_papers_benchmark_files_load_whole(file, count, answers):
    problems = data.load(str(SHARED / "benchmarks" / f"{file}.jsonl"))
    assert len(problems) == len({p.id for p in problems}) == count
    assert {i: problems[i].answer for i in answers} == answers
    assert all(p.question.strip() and p.answer.strip() and "boxed" not in p.answer for p in problems)


@pytest.mark.parametrize("content, message", [
    ("", "x.jsonl: the file holds no problems"),
    ('{"problem": "a", "answer": 1}\n{"problem": "b"}', "x.jsonl:2: needs the field answer or final_answer"),
    ('{"answer": 1}', "x.jsonl:1: needs the field problem or question"),
    ('{"problem": "a", "solution": "so \\\\boxed{4"}', "x.jsonl:1: the last \\boxed of the solution is empty or not"),
    ('{"problem": "a", "answer": " "}', "x.jsonl:1: the answer must be a text or a number, not ' '"),
    ('{"problem": "a", "answer": []}', "x.jsonl:1: the answer must be a text or a number"),
    ('{"problem": "a", "answer": {"value": 4}}', "x.jsonl:1: the answer must be a text or a number, not {'value': 4}"),
    ('{"problem": "a", "answer": "A", "choices": ["x", "y"]}', "x.jsonl:1: needs choices of lists text and label"),
    ('{"problem": "a", "answer": "C", "choices": {"text": ["x"], "label": ["A"]}}', "x.jsonl:1: needs choices of"),
    ('{"problem": "a", "answer": "A", "choices": {"text": ["x"], "label": ["A", "B"]}}', "x.jsonl:1: needs choices of"),
    (b'{"problem": "a", "answer": "\xe9"}', "x.jsonl:1: not a JSON object in UTF-8"),
    ("[1]", "x.jsonl:1: not a JSON object"),
    ("{", "x.jsonl:1: not a JSON object")])
def test_a_jsonl_file_that_does_not_fit_is_named_with_its_line(tmp_path, content, message):
    (tmp_path / "x.jsonl").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError) as error:
        data.load(str(tmp_path / "x.jsonl"))
    assert message in str(error.value)


@pytest.mark.parametrize("row, message", [
    (dict(text="a"), "row 0: needs the field problem or question"),
    (dict(prompt="a", answer="1"), "row 0: needs one user message in prompt, and reward_model.ground_truth")])
def test_a_parquet_file_that_does_not_fit_is_named_with_its_row(tmp_path, row, message):
    with pytest.raises(ValueError, match=message):
        data.load(str(write(tmp_path / "x.parquet", [row])))


def test_a_wrong_path_and_a_file_of_another_kind_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.jsonl: no such file"):
        data.load("nowhere.jsonl")
    (tmp_path / "x.parquet").write_text("{}")
    with pytest.raises(ValueError, match="x.parquet: not a parquet file"):
        data.load(str(tmp_path / "x.parquet"))
    with pytest.raises(ValueError, match="unknown example or problem set 'math50'.*math500, aime24"):
        data.load("math50")
