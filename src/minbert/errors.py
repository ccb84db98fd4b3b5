"""What a user can get wrong: one class a place, one sentence each; the command line turns them into exit code 2."""


class MinbertError(Exception):
    """Something the user can put right. The message names the place and the remedy, in at most three lines."""


class RecipeError(MinbertError):
    """A recipe, or an override of one of its keys, cannot be run as written."""


class DataError(MinbertError):
    """A file of examples is missing, unreadable, or holds a row that cannot be used."""


class ModelError(MinbertError):
    """A folder of weights cannot be loaded as what it claims to be."""


class RunError(MinbertError):
    """A run's folder is in use, complete, absent, or belongs to another recipe."""


class InputError(MinbertError, ValueError):
    """What was handed to a model from Python is no input of its task."""


class TrainingError(MinbertError):
    """Training cannot go on: a loss or a gradient is no longer a number."""


class RunInterruptedError(Exception):
    """The user stopped a run. The message says what is saved and how to go on."""


def printable(text: str) -> str:
    """A text without characters that do not print: a file's control codes stay out of the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def shown(text: str, width: int = 60) -> str:
    """A text as a message can hold it: on one line, printable, and not too long."""
    line = " ".join(printable(text).split())
    return line if len(line) <= width else line[: width - 1] + "…"


def counted(number: int, noun: str) -> str:
    """'1 row', '2 rows', '1,000 rows'."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def several(faults: list[str], spelled: int = 3) -> str:
    """Joins faults into one sentence; the first few are spelled out and the rest counted."""
    more = f"; and {len(faults) - spelled} more" if len(faults) > spelled else ""
    return "; ".join(faults[:spelled]) + more


def near(word: str, words: list[str]) -> str:
    """' (did you mean X?)' where one of `words` is close to `word`, else nothing."""
    import difflib

    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""
