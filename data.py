"""Problems: the paper's examples and benchmarks by name, the laptop world's, files; and the prompt templates."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet
import torch
from huggingface_hub import hf_hub_download
from torch import Tensor

import verify


@dataclass(frozen=True)
class Problem:
    """One problem with a verifiable answer. `category` groups it in evaluation tables; `id` names it."""
    question: str
    answer: str
    category: str = ""
    id: str = ""


# name: (dataset on the Hugging Face hub, revision, file, field of the question, field of the answer), as public code
# pins and reads them; not tried against the hub. math-ai's OlympiadBench has 674 of the paper's 675 problems.
FILE, ARC = "test-00000-of-00001.parquet", ("allenai/ai2_arc", "210d026faf9955653af8916fad021475a3f00453")
BENCHMARKS = {
    "math500": ("HuggingFaceH4/MATH-500", "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be", "test.jsonl",
                "problem", "answer"),
    "aime24": ("math-ai/aime24", "83a7f387baaa524a8bda0022eac0541582297103", FILE, "problem", "solution"),
    "amc23": ("math-ai/amc23", "80815d37005feb82cd7f8fbc6901d5d3eff43057", FILE, "question", "answer"),
    "minerva": ("math-ai/minervamath", "ee46ddc498933b1977577953250ca5c66be64f96", "test.jsonl", "question", "answer"),
    "olympiadbench": ("math-ai/olympiadbench", "4faaf1e6ec17d11a4218a9bf4c049ecaf954dd84", "test.parquet",
                      "question", "final_answer"),
    "aime25": ("math-ai/aime25", "563bb8404243c5f09de6ec262f2db674fe5bce9b", "test.jsonl", "problem", "answer"),
    "arc-easy": (*ARC, f"ARC-Easy/{FILE}", "question", "answerKey"),
    "arc-challenge": (*ARC, f"ARC-Challenge/{FILE}", "question", "answerKey")}
QUESTION, ANSWER = ("problem", "question"), ("answer", "final_answer", "answerKey", "solution")
CATEGORY, ID = ("subject", "category", "subfield", "type"), ("id", "unique_id", "idx")     # the first that a row has


def load(name: str) -> list[Problem]:
    """Problems by name ("pi1", "tiny-add", "math500", ...) or from a .jsonl or .parquet file.
    Raises ValueError or FileNotFoundError in one line for an unknown name, a missing file or missing fields."""
    path = Path(name)
    if path.suffix in READERS:
        if not path.is_file():
            raise FileNotFoundError(f"{name}: no such file")
        return read(path, QUESTION, ANSWER)
    if name in BENCHMARKS:
        dataset, revision, file, question, answer = BENCHMARKS[name]
        try:
            path = Path(hf_hub_download(dataset, file, repo_type="dataset", revision=revision))
        except (OSError, ValueError) as error:      # not reachable, or not there
            raise FileNotFoundError(f"{name}: {dataset} was not found on the hub ({str(error).strip().splitlines()[0]})"
                                    "; give a .jsonl or .parquet file of it instead") from None
        return read(path, (question,), (answer,))
    if name in EXAMPLES:
        return [Problem(question + SUFFIX, answer, id=f"dsr_sub:{row}") for row, answer, question in [EXAMPLES[name]]]
    if name.startswith("tiny-"):
        import tiny     # not at the top: the laptop world takes Problem from here
        if name in tiny.EXAMPLES:
            return [tiny.EXAMPLES[name]]
        if name in ("tiny-heldout", "tiny-validation"):
            return tiny.problems(name.removeprefix("tiny-"))
    raise ValueError(f"unknown example or problem set {name!r}: give {', '.join([*EXAMPLES, *BENCHMARKS])}, tiny-add, "
                     "tiny-no-carry, tiny-multiply-add, tiny-heldout, tiny-validation, or a .jsonl or .parquet file")


def read(path: Path, questions: tuple[str, ...], answers: tuple[str, ...]) -> list[Problem]:
    """The problems of a file whose questions and answers stand in the first of `questions` and `answers` that it has.
    An answer with a \\boxed in it is a solution (Minerva): its last box is meant. Of a list (OlympiadBench) all are
    wanted. Units (percent too: Minerva's two such golds are 100 and 12.5) are left out: a prediction may have one."""
    problems = []
    for number, (where, row) in enumerate(READERS[path.suffix](path)):
        question, answer, category, name = (next((row[field] for field in fields if row.get(field) is not None), None)
                                            for fields in (questions, answers, CATEGORY, ID))
        if question is None or answer is None:
            raise ValueError(f"{where}: needs the field {' or '.join(questions if question is None else answers)}")
        if isinstance(answer, dict) or not (answer := as_text(answer)).strip():
            raise ValueError(f"{where}: the answer must be a text or a number, not {answer!r}")
        if "\\boxed" in answer and (answer := verify.extract_answer(answer, require_box=True)) is None:
            raise ValueError(f"{where}: the last \\boxed of the solution is empty or not closed")
        if "choices" in row:    # ARC: labels are letters or, in some rows, numbers; a letter is asked for
            try:
                letters = dict(zip(map(str, row["choices"]["label"]), "ABCDE"))
                lines = [f"({a}) {text}" for a, text in zip(letters.values(), row["choices"]["text"], strict=True)]
                answer = letters[answer]
            except (KeyError, TypeError, ValueError):
                raise ValueError(f"{where}: needs choices of lists text and label, the answer a label") from None
            question = "\n".join([str(question), *lines, "Answer with the letter of the correct choice."])
        problems.append(Problem(str(question), answer, str(category or ""), str(number if name is None else name)))
    if not problems:
        raise ValueError(f"{path}: the file holds no problems")
    return problems


def read_jsonl(path: Path):
    """(where, one JSON object a line). Blank lines are skipped."""
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if line.strip():
            try:
                yield f"{path}:{number}", dict(json.loads(line))
            except (TypeError, ValueError):
                raise ValueError(f"{path}:{number}: not a JSON object in UTF-8") from None


def read_parquet(path: Path):
    """(where, a row). The paper's training rows (prompt, reward_model, extra_info) become question, answer and id."""
    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowInvalid:
        raise ValueError(f"{path}: not a parquet file") from None
    for number, row in enumerate(rows):
        if "prompt" in row:
            try:
                (message,), answer = row["prompt"], row["reward_model"]["ground_truth"]
                row = dict(question=message["content"], answer=answer, id=(row.get("extra_info") or {}).get("index"))
            except (KeyError, TypeError, ValueError):
                raise ValueError(f"{path}, row {number}: needs one user message in prompt, and "
                                 "reward_model.ground_truth") from None
        yield f"{path}, row {number}", row


READERS = {".jsonl": read_jsonl, ".parquet": read_parquet}


def as_text(answer) -> str:
    """27.0 (AMC stores whole numbers so) -> "27"; ["2", "3"] -> "2, 3"; anything else as it prints."""
    answers = answer if isinstance(answer, list) else [answer]
    return ", ".join(str(int(a)) if isinstance(a, float) and a.is_integer() else str(a) for a in answers)


# As Qwen2.5-Math's chat template (FORK Qwen2.5-Eval, qwen25-math-cot). Spelt out: not every tokenizer folder has it.
TEMPLATES = {
    "qwen2.5-math": "<|im_start|>system\nPlease reason step by step, and put your final answer within \\boxed{}."
                    "<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n",
    "plain": "{question}"}


def render(tokenizer, question: str, template: str) -> str:
    """The prompt as text: a template of TEMPLATES, or "chat", the tokenizer's own over one user message."""
    if template == "chat":
        if not tokenizer.chat_template:
            raise ValueError('this tokenizer has no chat template: give another --template, or no --chat')
        # Llama 3's template would write today's date into the prompt; other templates do not ask for one
        return tokenizer.apply_chat_template([{"role": "user", "content": question}], add_generation_prompt=True,
                                             tokenize=False, date_string="26 Jul 2024")
    if template not in TEMPLATES:
        raise ValueError(f"unknown template {template!r}: give chat, {', '.join(TEMPLATES)}")
    for token in re.findall(r"<\|\w+\|>", TEMPLATES[template]):
        if tokenizer.convert_tokens_to_ids(token) in (None, tokenizer.unk_token_id):
            raise ValueError(f"--template {template} needs the token {token}, which the tokenizer lacks: give another")
    return TEMPLATES[template].replace("{question}", question)


def encode(tokenizer, prompt: str) -> Tensor:
    """Tokens [P] (int64) of a rendered prompt; it already holds every special token it needs."""
    return torch.tensor(tokenizer(prompt, add_special_tokens=False)["input_ids"])


def stop_ids(tokenizer, stop_tokens: tuple[str, ...]) -> list[int]:
    """Token ids at which a response ends: base checkpoints list <|endoftext|> alone, and run on after <|im_end|>."""
    vocabulary = tokenizer.get_vocab()
    if missing := [token for token in stop_tokens if token not in vocabulary]:
        raise ValueError(f"the tokenizer has no token {missing[0]!r}: set --stop-tokens to tokens it has")
    return [vocabulary[token] for token in stop_tokens]


# The paper's examples: every training prompt of it ends so; its evaluation prompts do not
SUFFIX = " Let's think step by step and output the final answer within \\boxed{}."

# name: (row in DSR-sub, label, statement), from the released dsr_sub.parquet of github.com/ypwang61/One-Shot-RLVR;
# the number is the rank by historical variance. Labels as released: pi1's true value is 12.699, pi1207's 2/3.
EXAMPLES = {   # one long line each: data, not code
    "pi1": (124, r"12.8", r"The pressure \( P \) exerted by wind on a sail varies jointly as the area \( A \) of the sail and the cube of the wind's velocity \( V \). When the velocity is \( 8 \) miles per hour, the pressure on a sail of \( 2 \) square feet is \( 4 \) pounds. Find the wind velocity when the pressure on \( 4 \) square feet of sail is \( 32 \) pounds."),
    "pi2": (267, r"24", r"How many positive divisors do 9240 and 13860 have in common?"),
    "pi3": (531, r"7560", r"There are 10 people who want to choose a committee of 5 people among them. They do this by first electing a set of $1,2,3$, or 4 committee leaders, who then choose among the remaining people to complete the 5-person committee. In how many ways can the committee be formed, assuming that people are distinguishable? (Two committees that have the same members but different sets of leaders are considered to be distinct.)"),
    "pi4": (931, r"25", r"Three integers from the list $1,2,4,8,16,20$ have a product of 80. What is the sum of these three integers?"),
    "pi5": (212, r"288", r'In how many ways can we enter numbers from the set $\{1,2,3,4\}$ into a $4 \times 4$ array so that all of the following conditions hold? (a) Each row contains all four numbers. (b) Each column contains all four numbers. (c) Each "quadrant" contains all four numbers. (The quadrants are the four corner $2 \times 2$ squares.)'),
    "pi6": (25, r"32", r"The vertices of a $3 \times 1 \times 1$ rectangular prism are $A, B, C, D, E, F, G$, and $H$ so that $A E, B F$, $C G$, and $D H$ are edges of length 3. Point $I$ and point $J$ are on $A E$ so that $A I=I J=J E=1$. Similarly, points $K$ and $L$ are on $B F$ so that $B K=K L=L F=1$, points $M$ and $N$ are on $C G$ so that $C M=M N=N G=1$, and points $O$ and $P$ are on $D H$ so that $D O=O P=P H=1$. For every pair of the 16 points $A$ through $P$, Maria computes the distance between them and lists the 120 distances. How many of these 120 distances are equal to $\sqrt{2}$?"),
    "pi7": (568, r"10", r"Set $u_0 = \frac{1}{4}$, and for $k \ge 0$ let $u_{k+1}$ be determined by the recurrence" "\n" r"\[u_{k+1} = 2u_k - 2u_k^2.\]This sequence tends to a limit; call it $L$. What is the least value of $k$ such that" "\n" r"\[|u_k-L| \le \frac{1}{2^{1000}}?\]"),
    "pi8": (131, r"13", r"Consider the set $\{2, 7, 12, 17, 22, 27, 32\}$. Calculate the number of different integers that can be expressed as the sum of three distinct members of this set."),
    "pi9": (649, r"144", r"In a group photo, 4 boys and 3 girls are to stand in a row such that no two boys or two girls stand next to each other. How many different arrangements are possible?"),
    "pi10": (724, r"8996734080", r"How many ten-digit numbers exist in which there are at least two identical digits?"),
    "pi11": (875, r"42", r"How many pairs of integers  $a$  and  $b$  are there such that  $a$  and  $b$  are between  $1$  and  $42$  and  $a^9 = b^7 \mod 43$ ?"),
    "pi12": (925, r"20", r"Two springs with stiffnesses of $6 \, \text{kN} / \text{m}$ and $12 \, \text{kN} / \text{m}$ are connected in series. How much work is required to stretch this system by 10 cm?"),
    "pi13": (682, r"\frac{4}{3}", r"Given that circle $C$ passes through points $P(0,-4)$, $Q(2,0)$, and $R(3,-1)$.  " "\n" r"$(1)$ Find the equation of circle $C$.  " "\n" r"$(2)$ If the line $l: mx+y-1=0$ intersects circle $C$ at points $A$ and $B$, and $|AB|=4$, find the value of $m$."),
    "pi14": (291, r"22\frac{1}{2}", r"What is the area enclosed by the geoboard quadrilateral below?" "\n" r"[asy] unitsize(3mm); defaultpen(linewidth(.8pt)); dotfactor=2;  for(int a=0; a<=10; ++a) for(int b=0; b<=10; ++b)  {   dot((a,b));  };  draw((4,0)--(0,5)--(3,4)--(10,10)--cycle); [/asy]"),
    "pi15": (100, r"74", r"Seven cards numbered $1$ through $7$ are to be lined up in a row. Find the number of arrangements of these seven cards where one of the cards can be removed leaving the remaining six cards in either ascending or descending order."),
    "pi16": (50, r"576", r"If $p, q,$ and $r$ are three non-zero integers such that $p + q + r = 26$ and\[\frac{1}{p} + \frac{1}{q} + \frac{1}{r} + \frac{360}{pqr} = 1,\] compute $pqr$." "\n"),
    "pi17": (870, r"22", r"In Class 3 (1), consisting of 45 students, all students participate in the tug-of-war. For the other three events, each student participates in at least one event. It is known that 39 students participate in the shuttlecock kicking competition and 28 students participate in the basketball shooting competition. How many students participate in all three events?"),
    "pi605": (60, r"\frac { \sqrt {3}-1}{4}", r"Given vectors $$\overrightarrow {m}=( \sqrt {3}\sin x+\cos x,1), \overrightarrow {n}=(\cos x,-f(x)), \overrightarrow {m}\perp \overrightarrow {n}$$." "\n" r"(1) Find the monotonic intervals of $f(x)$;" "\n" r"(2) Given that $A$ is an internal angle of $\triangle ABC$, and $$f\left( \frac {A}{2}\right)= \frac {1}{2}+ \frac { \sqrt {3}}{2},a=1,b= \sqrt {2}$$, find the area of $\triangle ABC$."),
    "pi606": (906, r"19", r"How many zeros are at the end of the product \( s(1) \cdot s(2) \cdot \ldots \cdot s(100) \), where \( s(n) \) denotes the sum of the digits of the natural number \( n \)?"),
    "pi1201": (847, r"206", r"The angles of quadrilateral $PQRS$ satisfy $\angle P = 3\angle Q = 4\angle R = 6\angle S$. What is the degree measure of $\angle P$?"),
    "pi1207": (174, r"\frac{4}{5}", r"A rectangular piece of paper whose length is $\sqrt{3}$ times the width has area $A$. The paper is divided into three equal sections along the opposite lengths, and then a dotted line is drawn from the first divider to the second divider on the opposite side as shown. The paper is then folded flat along this dotted line to create a new shape with area $B$. What is the ratio $\frac{B}{A}$?"),
    "pi1208": (770, r"\dfrac{961}{1280}", r"Given a quadratic function in terms of \\(x\\), \\(f(x)=ax^{2}-4bx+1\\)." "\n" r"\\((1)\\) Let set \\(P=\\{1,2,3\\}\\) and \\(Q=\\{-1,1,2,3,4\\}\\), randomly pick a number from set \\(P\\) as \\(a\\) and from set \\(Q\\) as \\(b\\), calculate the probability that the function \\(y=f(x)\\) is increasing in the interval \\([1,+∞)\\)." "\n" r"\\((2)\\) Suppose point \\((a,b)\\) is a random point within the region defined by \\( \\begin{cases} x+y-8\\leqslant 0 \\\\ x > 0 \\\\ y > 0\\end{cases}\\), denote \\(A=\\{y=f(x)\\) has two zeros, one greater than \\(1\\) and the other less than \\(1\\}\\), calculate the probability of event \\(A\\) occurring."),
    "pi1209": (789, r"-\frac{2023}{2024}", r"Define the derivative of the $(n-1)$th derivative as the $n$th derivative $(n \in N^{*}, n \geqslant 2)$, that is, $f^{(n)}(x)=[f^{(n-1)}(x)]'$. They are denoted as $f''(x)$, $f'''(x)$, $f^{(4)}(x)$, ..., $f^{(n)}(x)$. If $f(x) = xe^{x}$, then the $2023$rd derivative of the function $f(x)$ at the point $(0, f^{(2023)}(0))$ has a $y$-intercept on the $x$-axis of ______."),
}
