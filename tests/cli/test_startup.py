"""What can be refused or shown without torch and transformers is, before they are imported."""

import subprocess
import sys

import pytest

RUN = """
import shlex, sys
from megabase.cli.main import main
for line in sys.stdin.read().splitlines():
    sys.argv = ["megabase", *shlex.split(line)]
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    heavy = sorted({"torch", "transformers", "sklearn", "accelerate"} & set(sys.modules))
    sys.stdout.write(f"\\n=> {code} {heavy} {line}\\n")
    if heavy:
        break
"""
SHOWN = (
    "--help", "score --help", "evaluate list", "pretrain --genome asset:ecoli --print-config",
    "finetune --train t.csv --print-config",
)  # fmt: skip
REFUSED = (
    "score -i none.fa -o s.tsv",
    "score -i a.fa -o s.tsv --model modle",
    "score -i a.fa -o s.tsv --model empty",
    "score -i a.fa -o s.tsv --strand reverse",
    "score -i a.fa -o s.tsv --device gpu",
    "score -i a.fa -o s.tsv --precision float16",
    "score -i a.fa -o empty",
    "score -i a.bed -o s.tsv",
    "score -i a.fa -o s.tsv --delimiter ab",
    "score-vcf -g a.fa -i none.vcf -o s.vcf",
    "score-vcf -g a.fa -i a.vcf -o s.txt",
    "score-vcf -g none.fa -i a.vcf -o s.vcf",
    "score-vcf -g a.fa -i a.vcf -o s.vcf --shard 3/2",
    "score-vcf -g a.fa -i a.vcf -o s.vcf --model modle",
    "embed -i a.fa -o e.txt",
    "embed -i a.fa -o e.npz --pooling median",
    "embed -i a.fa -o e.npz --dtype int8",
    "embed -i a.fa -o e.npz --splice none.gtf",
    "embed -i a.fa -o e.npz --shard 3/2",
    "embed -i a.fa -o e.npz --model modle",
    "mutagenesis -g a.fa -r none.bed -o m.tsv",
    "mutagenesis -g a.fa -r a.bed -o m.tsv --mode fast",
    "mutagenesis -g a.fa -r a.bed -o m.tsv --shard 3/2",
    "tracks -g a.fa -o t.bed",
    "tracks -g a.fa -o t.bedgraph --quantity gc",
    "tracks -g none.fa -o t.bedgraph",
    "tracks -g a.fa -o t.bedgraph --regions none.bed",
    "tracks -g a.fa -o t.bedgraph --shard 3/2",
    "tracks -g a.fa -o t.bedgraph --rename-contigs none.tsv",
    "tracks -g a.fa -o t.bedgraph --model modle",
    "merge none.vcf -o m.vcf",
    "merge a.fa -o m.fa",
    "generate -n 9 -o g.fa --temperature 0",
    "generate -n 9 -o g.fa --gc 2",
    "generate -n 9 -o g.fa --prompt none.fa",
    "generate -n 9 -o g.fa --device gpu",
    "predict -m modle -i t.csv -o p.csv",
    "predict -m empty -i t.csv -o p.txt",
    "info --model modle",
    "info --model empty",
    "convert -i modle -o c",
    "convert -i a.fa -o c --layout onnx",
    "pretrain -g none.fa -o m",
    "pretrain -g a.fa -o a.fa",
    "pretrain -g a.fa -o m --set stepz=3",
    "pretrain -g a.fa -o m --preset huge",
    "pretrain -g a.fa -o m --model modle",
    "pretrain -g a.fa -o empty --model empty",
    "pretrain -g a.fa -o m --model modle --preset tiny",
    "pretrain -g a.fa -g empty/a.fa -o m",
    "finetune --train none.csv -o f",
    "finetune --train t.csv -o f -m modle",
    "finetune --train t.csv -o f --adapt lora",
    "finetune --train t.csv -o f --label-text fuzzy",
    "finetune --train t.csv -o f --label-column class -m modle",
    "evaluate gue/tf/9 -d empty",
    "evaluate gue/tf/0 -d empty -m modle",
    "evaluate perplexity -m modle -g a.fa",
    "evaluate context -m modle -g a.fa -o c",
    "evaluate few-shot in_context/worm -m modle -o c",
    "card gue/tf/9 -m empty -o c",
    "card gue/tf/0 -m modle -o c",
)


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Run all of them in one fresh process; stop at the first that imports something heavy."""
    folder = tmp_path_factory.mktemp("start")
    (folder / "a.fa").write_text(">a\nACGTACGTAC\n")
    (folder / "a.bed").write_text("a\t0\t5\n")
    (folder / "a.vcf").write_text(
        "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    )
    (folder / "t.csv").write_text("sequence,label\nACGT,a\nTTTT,b\n")
    (folder / "empty").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", RUN], input="\n".join([*SHOWN, *REFUSED]), capture_output=True,
        text=True, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("=> ")]
    return dict(reversed(line.removeprefix("=> ").split("] ", 1)) for line in lines), done.stderr


def test_help_lists_and_configurations_are_shown_without_torch(answers):
    assert {line: answers[0].get(line) for line in SHOWN} == dict.fromkeys(SHOWN, "0 [")


def test_what_can_be_refused_is_refused_without_torch(answers):
    assert {line: answers[0].get(line) for line in REFUSED} == dict.fromkeys(REFUSED, "2 [")
    assert "Traceback" not in answers[1]


def test_scoring_imports_neither_transformers_nor_the_compiler_of_torch(tmp_path):
    (tmp_path / "a.fa").write_text(">a\nACGTACGTAC\n")
    code = (
        "import sys\n"
        "sys.argv = ['megabase', 'score', '-i', 'a.fa', '-o', 's.tsv']\n"
        "from megabase.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: code = end.code\n"
        "print({'transformers', 'torch._dynamo', 'sympy', 'scipy'} & set(sys.modules), code)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1:] == ["set() 0"], done.stderr
