"""In-context learning: labels written as letters after the sequences of GenomicBenchmarks."""

from dataclasses import replace

from megabase.genome.few_shot_prompt import answer_letters
from megabase.tasks.genomic_benchmarks import GENOMIC_BENCHMARKS, HYENADNA
from megabase.tasks.task import Task

_LENGTHS = {
    "human_enhancers_cohn": 502, "human_nontata_promoters": 251, "human_enhancers_ensembl": 320,
    "human_ensembl_regulatory": 600, "human_ocr_ensembl": 420,
    "dummy_mouse_enhancers_ensembl": 3200,
}  # fmt: skip

_NOTES = (
    f"{HYENADNA}, 4.3, A.3 and A.7: figures without numbers",
    "soft prompts: 2 to 32,768 learned vectors, {prompt, sequence, SEP}, then the letter of the "
    "label; only the prompts are trained (AdamW 1e-3, no decay, batch 2 x 8, up to 20 epochs)",
    "few-shot: {sequence, SEP, letter, SEP} k times per class, then {sequence, SEP}; k from 2 to "
    "32, tuned on 2 to 256 rows at learning rate 1e-4",
    "the released scripts use the test rows for validation",
)


def _task(task: Task) -> Task:
    leaf = task.name.partition("/")[2]
    is_extra = leaf == "dummy_mouse_enhancers_ensembl"
    extra = ("in the released script only, not in the paper",) if is_extra else ()
    return replace(
        task,
        name=f"in_context/{leaf}",
        title=f"{task.title}, the label as a letter",
        label_letters=tuple(answer_letters(len(task.classes))),
        published=(),
        notes=(f"sequences of up to {_LENGTHS[leaf]:,} bp in the released script", *_NOTES, *extra),
    )


IN_CONTEXT = tuple(
    _task(task) for task in GENOMIC_BENCHMARKS if task.name.partition("/")[2] in _LENGTHS
)
