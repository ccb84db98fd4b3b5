"""The command line: commands by name, and what went wrong as a message and an exit code.

0 done, 2 the user's input is wrong, 1 a fault of ours, 130 interrupted. Nothing heavy is imported here.
"""

import io
import logging
import sys

import typer

from minbert.cli.calibrate import calibrate
from minbert.cli.compare import compare
from minbert.cli.data import data_app
from minbert.cli.embed import embed
from minbert.cli.evaluate import evaluate
from minbert.cli.experiment import experiment_app
from minbert.cli.export import export
from minbert.cli.init import init
from minbert.cli.report import report
from minbert.cli.search import duplicates, similar
from minbert.cli.sharing import sharing
from minbert.cli.train import demo, train
from minbert.cli.use import predict
from minbert.errors import MinbertError, RunInterruptedError

app = typer.Typer(
    name="minbert",
    help="Learn several sentence tasks with one small BERT, see honest scores, and use the result.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    *(demo, init, train, evaluate, calibrate, predict, embed, export, duplicates, similar, compare, sharing, report),
):
    app.command()(command)
app.add_typer(data_app, name="data")
app.add_typer(experiment_app, name="experiment")


def main() -> None:
    """Runs the command line; the only place that turns an error into an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an ASCII terminal gets `?` for what it cannot show
            stream.reconfigure(errors="replace")
    log = logging.getLogger("minbert")  # our own messages alone; libraries keep quiet
    log.handlers = [logging.StreamHandler()]
    log.setLevel(logging.INFO)
    try:
        app(prog_name="minbert")
    except MinbertError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except RunInterruptedError as interrupt:
        print(f"interrupted: {interrupt}", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
