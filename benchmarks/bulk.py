"""Peak memory and rows a second of `predict` and `embed` as a file grows, each command a process of its own.

    ./dev bench bulk

The million rows are answered by a random BERT of two layers, 16 wide, since what is asked is whether memory grows;
`--encoder minilm --rows 1000 5000` shows the speed of a real one.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from minbert.bert import Bert, BertConfig
from minbert.model import MultitaskModel
from minbert.pretrained import load_encoder, load_tokenizer, locate, save_encoder
from minbert.tasks import Task

ROWS = (10_000, 100_000, 1_000_000)
WORDS = ["the", "soup", "was", "cold", "and", "nobody", "cared", "yet", "cake", "good", "very", "not"]
MEGABYTE = 1024  # of ru_maxrss, which Linux counts in kilobytes
CHILD = """
import json, resource, sys, time
from minbert.cli.app import main
sys.argv = ["minbert", *sys.argv[1:]]
begun = time.monotonic()
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": time.monotonic() - begun, "peak": peak}))
"""


def tiny_encoder(folder: Path) -> Path:
    """A random BERT over a few words."""
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]), encoding="utf-8")
    config = BertConfig(
        vocab_size=len(WORDS) + 5,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    torch.manual_seed(0)
    save_encoder(Bert(config), BertWordPieceTokenizer(str(vocabulary)), folder / "encoder")
    return folder / "encoder"


def model(encoder: Path, folder: Path) -> Path:
    """A model of one task whose head is random."""
    task = Task.model_validate({"kind": "classification", "labels": ["no", "yes"]}).completed(None)
    whole = load_encoder(encoder, needs_pooler=task.pooling == "cls")
    MultitaskModel(whole, load_tokenizer(encoder), {"mood": task}).save_pretrained(folder)
    return folder


def write(path: Path, rows: int) -> None:
    """A CSV file of sentences of 4 to 23 words, line by line."""
    with path.open("w", encoding="utf-8") as handle:
        handle.write("id,text\n")
        for row in range(rows):
            words = (WORDS[(row * 7 + place * place) % len(WORDS)] for place in range(4 + row % 20))
            handle.write(f"{row},{' '.join(words)}\n")


def measured(*words: object) -> tuple[float, float]:
    """Seconds and peak megabytes of a command line."""
    command = [sys.executable, "-c", CHILD, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return found["seconds"], found["peak"] / MEGABYTE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="tiny", help="tiny, or what a recipe's `encoder` may be")
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--data", help="changes nothing: the texts are made here")
    parser.add_argument("--quick", action="store_true", help="the smallest file alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        encoder = tiny_encoder(folder) if options.encoder == "tiny" else locate(options.encoder)
        made = model(encoder, folder / "model")
        print(f"encoder {options.encoder}, {torch.get_num_threads()} threads")
        print(f"{'command':10}{'output':>10}{'rows':>12}{'seconds':>10}{'rows/s':>10}{'peak MB':>10}", flush=True)
        for rows in options.rows[:1] if options.quick else options.rows:
            write(folder / "in.csv", rows)
            for command, output in (("predict", "out.csv"), ("predict", "out.parquet"), ("embed", "out.npy")):
                column = ["--column", "text"] if command == "embed" else []
                words = [command, made, "--input", folder / "in.csv", "--output", folder / output, "--force", *column]
                seconds, peak = measured(*words)
                columns = f"{rows:12,}{seconds:10.1f}{rows / seconds:10,.0f}{peak:10,.0f}"
                print(f"{command:10}{Path(output).suffix:>10}{columns}", flush=True)


if __name__ == "__main__":
    main()
