"""A trained model's card says what its run says: rows, files, scores."""

from pathlib import Path

from minbert import train
from minbert.metrics import proportion_interval


def test_the_card_of_a_run_holds_its_rows_and_scores(tmp_path: Path, tiny_encoder: Path) -> None:
    rows = [f"{('good', 'bad')[n % 2]} film {n},{('up', 'down')[n % 2]}" for n in range(20)]
    (tmp_path / "a.csv").write_text("text,label\n" + "\n".join([*rows, "no label,"]) + "\n")
    (tmp_path / "b.csv").write_text("text,label\n" + "\n".join(rows[:6]) + "\n")
    tasks = {
        "mood": {"kind": "classification", "train": str(tmp_path / "a.csv"), "dev": str(tmp_path / "b.csv")},
        "tone": {"kind": "classification", "train": str(tmp_path / "a.csv"), "holdout": 5},
    }
    recipe = {"name": "it", "seed": 3, "encoder": str(tiny_encoder), "tasks": tasks, "training": {"max_steps": 3}}
    run = train(recipe, runs=tmp_path / "runs", skip_bad_rows=True)
    card = (run.best / "README.md").read_text(encoding="utf-8")
    assert f"By minbert from the encoder `{tiny_encoder.name}`, seed 3:" in card
    for row in (
        "mood | train | 20 | 1 | a.csv",
        "mood | dev | 6 | 0 | b.csv",
        "tone | dev | 5 | 0 | held back from a.csv",
    ):
        assert f"| {row} |" in card
    best = next(r for r in reversed(run.records()) if r["kind"] == "evaluation" and r["is_best"])
    value = best["metrics"]["mood"]["accuracy"]
    low, high = proportion_interval(value, 6)
    baseline = best["baselines"]["mood"]
    assert f"| mood | accuracy | {value:.4f} | {low:.3f} to {high:.3f} | {baseline:.4f} | 6 |" in card
    assert f"After {best['step']} updates" in card
    assert str(tmp_path) not in card
